// Texts about calls for help, in English and Japanese.

/** @satisfies {Record<string, [string, string]>} */
export const CALL_TEXTS = {
  queue_rule: [
    "Calls that you have taken come first, then those that have waited longest, then those in other teachers' parts, and last those that somebody else has taken. A call leaves the list when the student cancels it, when it is settled, or after {0} s without a signal.",
    "自分が対応中の呼び出しを先頭に、待ち時間の長い順に並びます。ほかの担当者の範囲の呼び出しはその下、ほかの担当者が対応中の呼び出しは最後です。学生が取り消したとき、対応済みにしたとき、通信が {0} 秒途切れたときは、一覧から消えます。",
  ],
  queue_empty: ["Nobody is calling.", "呼び出しはありません。"],
  queue_unknown: [
    "Calls can't be checked right now.",
    "現在、呼び出しを確認できません。",
  ],
  reading_of: [" ({0})", "（{0}）"],
  waiting: ["waiting {0}", "待ち時間 {0}"],
  calls_today: ["call {0} today", "今日 {0} 回目"],
  take: ["Take it", "行きます"],
  taken: ["{0} is helping", "対応中：{0}"],
  taken_for: ["{0} is with them ({1} min)", "対応中：{0}（{1} 分）"],
  mine_for: ["You are with them ({0} min)", "あなたが対応中（{0} 分）"],
  resolve: ["Mark settled", "対応済みにする"],
  put_back: ["Back into the queue", "未対応に戻す"],
  undo: ["Undo", "元に戻す"],
  done_take: ["Taken: {0}", "対応中にしました：{0} さん"],
  done_resolve: ["Settled: {0}", "対応済みにしました：{0} さん"],
  done_return: ["Back in the queue: {0}", "未対応に戻しました：{0} さん"],
  teachers_here: ["Here: {0}", "担当者：{0}"],
  teacher_with_part: ["{0} ({1})", "{0}（{1}）"],
  my_part: ["I look after", "自分の担当"],
  seat_row: ["row {0}", "{0} 列"],
  list_separator: [", ", "、"],
  others_part: ["in another teacher's part", "ほかの担当者の範囲"],
  your_name: ["Your name", "あなたの名前"],
  name_first: ["Enter your name first.", "先に名前を入力してください。"],
  last_error: ["Last error: {0}", "直前のエラー：{0}"],
  solved_since: ["solved since, {0}", "{0}に解決済み"],
  no_error: ["No recent errors", "最近のエラーはありません"],
};
