// Texts about calls for help, in English and Japanese.

/** @satisfies {Record<string, [string, string]>} */
export const CALL_TEXTS = {
  asked: ["{0} is asking for help", "{0} さんが呼んでいます"],
  queue_rule: [
    "Yours first, then the longest wait; students whom somebody else is helping come last. A call leaves the list when the student cancels it, when it is settled, or after {0} s without a signal.",
    "自分が対応中のもの、待ち時間の長い順に並び、ほかの人が対応中のものは最後です。学生が取り消す、対応済みになる、または通信が {0} 秒途切れると一覧から消えます。",
  ],
  queue_empty: ["Nobody is asking for help.", "呼び出しはありません。"],
  waiting: ["waiting {0}", "待ち時間 {0}"],
  calls_today: ["call {0} today", "今日 {0} 回目"],
  take: ["Take it", "行きます"],
  taken: ["{0} is helping", "対応中：{0}"],
  taken_for: ["{0} is with them for {1} min", "対応中：{0}（{1} 分）"],
  mine_for: ["You are with them for {0} min", "あなたが対応中（{0} 分）"],
  resolve: ["Mark settled", "対応済みにする"],
  put_back: ["Back into the queue", "列に戻す"],
  undo: ["Undo", "元に戻す"],
  done_take: ["Taken: {0}", "対応中にしました：{0} さん"],
  done_resolve: ["Settled: {0}", "対応済みにしました：{0} さん"],
  done_return: ["Back in the queue: {0}", "列に戻しました：{0} さん"],
  your_name: ["Your name", "あなたの名前"],
  name_first: ["Enter your name first.", "先に名前を入力してください。"],
  last_error: ["Last error: {0}", "直前のエラー：{0}"],
  solved_since: ["solved since, {0}", "{0}に解決済み"],
  no_error: ["No recent errors", "最近のエラーはありません"],
};
