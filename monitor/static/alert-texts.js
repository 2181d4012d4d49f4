// Texts about how a new call is noticed, in English and Japanese.

/** @satisfies {Record<string, [string, string]>} */
export const ALERT_TEXTS = {
  asked: ["{0} is calling", "{0} さんが呼んでいます"],
  asked_by_many: ["{0} students are calling", "{0} 人が呼んでいます"],
  alerts: ["Alerts", "呼び出しの通知"],
  alerts_on: ["Alerts: on", "通知：オン"],
  alerts_off: ["Alerts: off", "通知：オフ"],
  alerts_silent: ["Alerts: muted until you click", "通知：クリックすると音が出ます"],
  // Written before the class is known, and so without its word for learners.
  alerts_for: ["When a student calls me", "自分の担当範囲で呼び出しがあったとき"],
  alert_sound: ["Play a sound", "音で知らせる"],
  alert_vibration: ["Vibrate", "振動で知らせる"],
  alert_notification: [
    "Notify me while I'm in another window",
    "ほかの画面を見ているときは、ブラウザーの通知で知らせる",
  ],
  alert_awake: ["Keep the screen on", "画面をスリープさせない"],
  sound_blocked: [
    "The browser plays no sound until you click somewhere on this page.",
    "このページのどこかをクリックすると、音が鳴るようになります。",
  ],
  alert_test: ["This is how a call is shown.", "呼び出しはこのように表示されます。"],
  alert_lacking: ["This browser can't do that.", "このブラウザーでは使えません。"],
  alert_insecure: ["This needs an address with https.", "https のアドレスで開いたときだけ使えます。"],
  vibration_refused: ["The browser didn't vibrate.", "ブラウザーの制限により、振動できませんでした。"],
  notification_refused: [
    "The browser doesn't allow this page to show notifications. Allow them in its settings for this site.",
    "このページの通知がブラウザーで許可されていません。ブラウザーのサイト設定で許可してください。",
  ],
  calls_in: ["{1}: {0} call is waiting|{1}: {0} calls are waiting", "{1}：呼び出し {0} 件"],
};
