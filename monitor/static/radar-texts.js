// Texts of the errors that a class is at, in English and Japanese. See i18n.js.

/** @satisfies {Record<string, [string, string]>} */
export const RADAR_TEXTS = {
  messages: ["Messages", "お知らせ"],
  radar_rule: [
    "Unsolved errors of the last {0} minutes, grouped by cell and kind. Students have solved an error once they run the cell without one. You get one alert when {1} students have the same error.",
    "過去 {0} 分間に起きた未解決のエラーを、セルとエラーの種類ごとにまとめています。学生がそのセルをエラーなしで実行すると、解決済みになります。未解決の学生が {1} 人以上になると、一度だけ通知します。",
  ],
  radar_empty: [
    "No unsolved errors in the last {0} minutes.",
    "過去 {0} 分間のエラーで、未解決のものはありません。",
  ],
  radar_group: ["{0} of {1} students: {2} in {3}", "{3} で {1} 人中 {0} 人が {2}"],
  radar_met: [
    "{1} had this error: {0} unsolved, {2} solved",
    "エラーが出た学生 {1} 人（未解決 {0} 人、解決済み {2} 人）",
  ],
  radar_who: ["{0} of {1}", "{1} 人中 {0} 人"],
  radar_seats: ["{0} of {1}: {2}", "{1} 人中 {0} 人：{2}"],
  tell_all: ["Tell all", "全員に知らせる"],
  notice_of_place: ["{0}: ", "{0}："],
  radar_more: ["And {0} more.", "ほか {0} 件"],
  notice_to_all: ["Notice to everyone in the class", "クラス全員へのお知らせ"],
  send_notice: ["Send", "送信"],
};
