// The page's texts about inviting students and trying the page, in English and Japanese (see i18n.js).

/** @satisfies {Record<string, [string, string]>} */
export const INVITE_TEXTS = {
  invite: ["Invite", "招待"],
  invite_to: ["Invite students to “{0}”", "「{0}」に学生を招待"],
  invite_how: [
    "Students open this link. It shows them what is recorded, and the address to paste into JupyterLab. They appear here as soon as they run a cell.",
    "学生にこのリンクを開いてもらいます。記録される内容と、JupyterLab に貼り付けるアドレスが表示されます。セルを実行した学生は、自動的に一覧に加わります。",
  ],
  invite_link: ["Link for students", "学生用のリンク"],
  invite_qr: ["QR code of the link", "リンクの QR コード"],
  invite_here_only: [
    "This link works on this computer only. To let students in over the network, start the server with: cell-monitor serve --class \"{0}\"",
    "このリンクは、このコンピューターでしか開けません。ネットワーク経由で参加させるには、次のコマンドでサーバーを起動してください：cell-monitor serve --class \"{0}\"",
  ],
  invite_first: ["Invite students", "学生を招待"],
  copy: ["Copy the link", "リンクをコピー"],
  copied: ["Copied", "コピーしました"],
  rotate: ["New link", "リンクを作り直す"],
  rotate_sure: [
    "Make a new link? The old one ends now. Students who have connected need the new address within 24 hours.",
    "リンクを作り直しますか？古いリンクはすぐに使えなくなります。接続済みの学生は、24 時間以内に新しいアドレスを設定し直す必要があります。",
  ],
  own_tokens: [
    "Each student gets their own address (they must be on the roster)",
    "学生ごとに専用のアドレスを渡す（名簿にある学生のみ）",
  ],
  rotate_to_tokens_sure: [
    "Make a new link by which each student gets their own address? The old link ends now, and the address for all in 24 hours. You confirm under “Manage” who is who.",
    "学生ごとに専用のアドレスを渡すリンクに作り直しますか？古いリンクはすぐに、共通のアドレスは 24 時間後に使えなくなります。本人の確認は「管理」で行います。",
  ],
  end_invite: ["Turn off the link", "リンクを無効にする"],
  end_invite_sure: [
    "Turn off the link? Nobody will be able to open it. Students who are connected stay connected.",
    "リンクを無効にしますか？このリンクは誰も開けなくなります。接続済みの学生には影響しません。",
  ],
  invite_ended: ["The link is turned off.", "リンクを無効にしました。"],
  first_class: ["Create your first class", "最初のクラスを作る"],
  first_class_hint: [
    "Then you get a link and a QR code for your students.",
    "作成すると、学生に渡すリンクと QR コードが表示されます。",
  ],
  demo_name: ["{0} (demo)", "{0}（デモ）"],
  remove_demo: ["Remove the demo", "デモを削除"],
  remove_demo_sure: [
    "Remove the demo? Its class, its simulated students and all that they did are deleted for good. What others did stays.",
    "デモを削除しますか？クラス、架空の学生、その活動の記録がすべて削除されます。ほかの人の記録は残ります。",
  ],
  demo_removed: ["The demo was removed.", "デモを削除しました。"],
  demo_class_stays: [
    "The simulated students were removed. The class stays, because others are in it.",
    "架空の学生を削除しました。ほかの人が参加しているため、クラスは残ります。",
  ],
  code_hint: ["made for you if left empty", "空欄なら自動で作成"],
};
