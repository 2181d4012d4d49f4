// The page's texts about who joins a class, in English and Japanese (see i18n.js).

/** @satisfies {Record<string, [string, string]>} */
export const JOINING_TEXTS = {
  learner_word: ["In Japanese, learners are called", "学習者の呼び方"],
  learner_word_student: ["{0} (universities)", "{0}（大学など）"],
  learner_word_pupil: ["{0} (schools)", "{0}（高校など）"],
  join_policy: ["Who may join with the link", "リンクから参加できる人"],
  policy_open: ["Anyone", "誰でも"],
  policy_approve: ["Those a teacher lets in", "教員が承認した人"],
  policy_roster: ["Only people on the roster", "名簿にある人だけ"],
  max_new_names: [
    "New students a day without approval (if anyone may join)",
    "承認なしで参加できる 1 日の人数（「誰でも」の場合）",
  ],
  to_be_let_in: ["Waiting", "承認待ち"],
  let_in_waiting: [
    "{0} person is waiting to be let in|{0} people are waiting to be let in",
    "参加の承認を待っている人が {0} 人います",
  ],
  let_in_hint: [
    "They joined with the link. What they do is recorded, but shown only once you let them in. Names are as they entered them.",
    "リンクから参加した人です。操作は記録されていますが、承認するまで表示されません。氏名は本人が入力したものです。",
  ],
  let_in: ["Let in", "承認"],
  let_in_who: ["Let {0} in", "{0} さんを承認"],
  let_in_all: ["Let everyone in", "全員を承認"],
  let_in_done: ["{0} person let in.|{0} people let in.", "{0} 人の参加を承認しました。"],
  refuse: ["Refuse", "拒否"],
  refuse_who: ["Refuse {0}", "{0} さんを拒否"],
  refuse_sure: [
    "Refuse {0}? What they did in this class is withdrawn, and the link will not let this ID in again.",
    "{0} さんの参加を拒否しますか？このクラスでの記録は取り消され、この学籍番号ではリンクから参加できなくなります。",
  ],
  refuse_done: ["{0} was refused.", "{0} さんの参加を拒否しました。"],
  show_who: ["Show who", "一覧を表示"],
  waits_since: ["since {0}", "{0} から待機"],
  heard: [
    "{0} student in no class is sending events|{0} students in no class are sending events",
    "どのクラスにも登録されていない学生 {0} 人から記録が届いています",
  ],
  heard_hint: [
    "They are on no roster. Names are as they entered them.",
    "どの名簿にもない学生です。氏名は本人が入力したものです。",
  ],
  heard_at: ["last heard {0}", "最終受信 {0}"],
  enrol_heard: ["Enrol them in this class", "全員をこのクラスに登録"],
  enrol_who: ["Enrol {0}", "{0} さんを登録"],
  heard_first: [
    "{0} student is already sending. Create a class, and enrol them there.|{0} students are already sending. Create a class, and enrol them there.",
    "すでに {0} 人の学生から記録が届いています。クラスを作ると、そこに登録できます。",
  ],
  kept_out: ["Kept out of this class: {0}", "このクラスに入らなかったデータ：{0}"],
  refused_events: ["{0} event|{0} events", "{0} 件"],
  refused_line: ["{0}: {1} from {2}, {3}", "{0}：{2}から {1}（{3}）"],
  span: ["{0} to {1}", "{0} ～ {1}"],
  refused_ids: ["{0} ID|{0} IDs", "{0} 個の学籍番号"],
  refused_more_ids: ["more than {0} IDs", "{0} 個を超える学籍番号"],
  refused_addresses: ["{0} address|{0} addresses", "{0} 個の IP アドレス"],
  refused_more_addresses: ["more than {0} addresses", "{0} 個を超える IP アドレス"],
  reason_not_on_roster: ["Not on the roster", "名簿にない"],
  reason_too_many_waiting: ["Too many are waiting", "承認待ちが上限に達した"],
  reason_removed: [
    "Removed from the roster, stored in no class",
    "名簿から外した学生（クラスなしで保存）",
  ],
  reason_ended_key: [
    "Old address, whose key has ended; send these students the link again",
    "古い送信先（キーが無効）。招待リンクをもう一度案内してください",
  ],
  reason_too_many_students: ["More new IDs in a day than a school has", "1 日の新しい学籍番号が多すぎる"],
  reason_over_limit: ["More than the limits allow", "送信量の上限を超えた"],
  silent: [
    "{0} student on the roster has sent nothing yet|{0} students on the roster have sent nothing yet",
    "名簿にあり、まだ一度も接続していない学生：{0} 人",
  ],
  shared_ids: [
    "{0} ID seems to be used by two people|{0} IDs seem to be used by two people",
    "2 人が使っている可能性のある学籍番号：{0} 個",
  ],
  shared_hint: [
    "Two sessions sent in turn, from two addresses. With a token of their own students can't be taken for each other.",
    "別々のアドレスの 2 つのセッションから、交互に送信されました。学生ごとのトークンを配ると、取り違えを防げます。",
  ],
  shared_line: ["{0}, {1}", "{0}（{1}）"],
};
