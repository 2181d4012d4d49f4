// The page's texts about students' tokens, in English and Japanese (see i18n.js).

/** @satisfies {Record<string, [string, string]>} */
export const TOKEN_TEXTS = {
  tokens: ["Students' own addresses", "学生ごとの専用アドレス"],
  tokens_rule: [
    "With the class's address anybody can post under any name. With an address of their own, each student posts only as themselves.",
    "クラス共通のアドレスでは、誰でも他人の名前で送信できてしまいます。専用アドレスを使えば、学生は本人としてしか送信できません。",
  ],
  tokens_issue: ["Make and print", "作成して印刷"],
  tokens_none_left: [
    "Every student on the roster has an address already.",
    "名簿の学生全員に、すでに専用アドレスがあります。",
  ],
  tokens_renew_all: ["New ones for all", "全員分を作り直す"],
  tokens_renew_sure: [
    "Make new addresses for all students? The present ones work for 24 hours more.",
    "全員の専用アドレスを作り直しますか？今のアドレスは 24 時間後に使えなくなります。",
  ],
  token_state: ["State", "状態"],
  token_issued: ["Created", "作成日"],
  token_used: ["Last used", "最終使用日"],
  token_actions: ["Actions", "操作"],
  token_valid: ["valid", "有効"],
  token_claimed: ["taken on the join page, not confirmed", "参加ページで取得（未確認）"],
  token_ends: ["works until {0}", "{0} まで使用可"],
  token_unused: ["not yet", "未使用"],
  token_confirm: ["Confirm", "本人と確認"],
  token_confirm_who: ["Confirm that {0} has this address", "{0} さん本人のアドレスと確認"],
  token_renew: ["New address", "作り直す"],
  token_renew_who: ["New address for {0}", "{0} さんのアドレスを作り直す"],
  token_renew_sure: [
    "Make a new address for {0}? The present one works for 24 hours more. If somebody else may have it, revoke it instead, and then make a new one.",
    "{0} さんのアドレスを作り直しますか？今のアドレスは 24 時間後に使えなくなります。他人に知られたおそれがあるときは、先に「無効にする」を選んでください。",
  ],
  token_revoke: ["Revoke", "無効にする"],
  token_revoke_who: ["Revoke the address of {0}", "{0} さんのアドレスを無効にする"],
  token_revoke_sure: [
    "Revoke the address of {0}? What is sent to it from now on is lost.",
    "{0} さんのアドレスを無効にしますか？以後、このアドレスへの送信は記録されません。",
  ],
  sheet_once: [
    "These addresses are shown only this once. Print them, or save them as a PDF, before you leave this page.",
    "アドレスが表示されるのは今回だけです。このページを離れる前に、印刷するか PDF に保存してください。",
  ],
  sheet_here_only: [
    "These addresses work on this computer only. Revoke them, start the server so that students reach it, and make new ones.",
    "これらのアドレスは、このコンピューターでしか使えません。無効にしてから、学生が接続できる設定でサーバーを起動し、作り直してください。",
  ],
  sheet_print: ["Print", "印刷"],
  sheet_back: ["Back", "戻る"],
  sheet_back_sure: [
    "Leave this page? The addresses are not shown again.",
    "このページを離れますか？アドレスは二度と表示されません。",
  ],
  sheet_leave: ["Leave", "離れる"],
};

// On the strips to cut out, which students of either language get.
export const STRIP_TEXTS = {
  ja: "JupyterLab の「設定」→「設定エディター」→「Cell Monitor」で、サーバー URL に貼り付けます。あなた専用です。他の人に渡さないでください。",
  en: "In JupyterLab, Settings → Settings Editor → Cell Monitor: paste this as the server URL. It is yours alone: don't pass it on.",
};
