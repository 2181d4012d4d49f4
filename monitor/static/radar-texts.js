// Texts of the errors that a class is at, in English and Japanese. See i18n.js.

/** @satisfies {Record<string, [string, string]>} */
export const RADAR_TEXTS = {
  messages: ["Messages", "お知らせ"],
  radar_rule: [
    "Errors from the last {0} minutes that somebody still has, by cell and kind. Students who have since run the cell without an error are past it. You are alerted once when {1} students have the same one.",
    "過去 {0} 分間のエラーのうち、まだ解決していない学生がいるものを、セルと種類ごとにまとめています。その後そのセルを正常に実行した学生は解決済みです。未解決の学生が {1} 人以上になると一度だけ通知します。",
  ],
  radar_empty: [
    "Nobody still has an error from the last {0} minutes.",
    "過去 {0} 分間のエラーで、未解決のものはありません。",
  ],
  radar_group: ["{0} of {1} students: {2} in {3}", "{3} で {1} 人中 {0} 人が {2}"],
  radar_met: [
    "{1} had it, {0} still has it, {2} got past it|{1} had it, {0} still have it, {2} got past it",
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
