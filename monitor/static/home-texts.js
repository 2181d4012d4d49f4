// Texts of the page of all classes and of a student's own page, in English and Japanese.

/** @satisfies {Record<string, [string, string]>} */
export const HOME_TEXTS = {
  all_classes: ["All classes", "クラス一覧"],
  not_idle: ["Active", "操作あり"],
  open_calls: ["Calling", "呼び出し中"],
  last_heard: ["Last active", "最終操作"],
  overview_rule: [
    "Stuck: errors in a row, or for long, as the class is set. Active: heard from in the last {0} minutes.",
    "つまずき：エラーの回数や時間がクラスの設定を超えた学生。操作あり：{0} 分以内に操作があった学生。",
  ],
  no_open_classes: ["All your classes have ended.", "進行中のクラスはありません。"],
  ended_classes: ["Ended classes ({0})", "終了したクラス（{0}）"],
  verified: ["verified", "本人確認済み"],
  claimed: ["not verified", "本人未確認"],
  verified_rule: [
    "Verified: sends with a token of their own",
    "本人確認済み：学生本人のトークンで送信しています",
  ],
  claimed_rule: [
    "Not verified: somebody else could send under this ID, too",
    "本人未確認：ほかの人もこの学籍番号で送信できます",
  ],
  disputed: ["disputed: not counted", "本人か不明・集計の対象外"],
  withdrawn: ["withdrawn: not counted", "取り消し済み・集計の対象外"],
  rendered: ["Markdown rendered", "Markdown を表示"],
  my_page: ["My page", "マイページ"],
  my_page_rule: [
    "What is stored about you. Your teachers see what you did in their classes, administrators see all of it, other students see nothing.",
    "あなたについて保存されている記録です。教員には担当するクラスでの記録だけ、管理者にはすべてが見えます。ほかの学生には見えません。",
  ],
  nothing_of_you: [
    "Nothing is stored about you yet. This page fills once your notebook has sent something.",
    "まだ何も保存されていません。ノートブックから最初の記録が届くと、ここに表示されます。",
  ],
  my_classes: ["Your classes", "クラス"],
  no_class: ["In no class", "クラスなし"],
  waiting_role: ["waiting to be let in", "参加の承認待ち"],
  off_roster: ["no longer on the roster", "名簿から外れています"],
  my_token_used: ["sent with your own token", "自分のトークンで送信"],
  my_token_unused: ["sent without a token of your own", "自分のトークンなしで送信"],
  shown_as: ["shown to the teacher as {0}", "教員の画面での表示：{0}"],
  last_at: ["last active {0}", "最終操作 {0}"],
  my_progress: [
    "{0} cell run, {1} of them successfully|{0} cells run, {1} of them successfully",
    "実行したセル {0} 個（うち成功 {1} 個）",
  ],
  not_begun: ["not started", "未着手"],
  not_submitted: ["not submitted", "未提出"],
  submitted: ["submitted {0}", "提出 {0}"],
  my_grade: ["Grade: {0}", "点数：{0} 点"],
  my_grade_of: ["Grade: {0} out of {1}", "点数：{0} 点（{1} 点満点）"],
  you_were_graded: ["Your work was graded.", "提出物が採点されました。"],
  sign_out: ["Sign out", "ログアウト"],
  token_refused: [
    "That token was not accepted. It may have expired; or it is the one from the join page, which only sends what you do in your notebook.",
    "このトークンは使えません。期限が切れているか、ノートブックの記録を送るためだけのトークン（参加ページのもの）です。",
  ],
};
