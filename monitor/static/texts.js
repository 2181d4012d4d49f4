// What the page says, in Japanese and English.

const TEXTS = {
  title: ["Cell Monitor", "Cell Monitor"],
  class: ["Class", "クラス"],
  students: ["Students", "学生"],
  help: ["Help", "質問"],
  errors: ["Errors", "エラー"],
  notebooks: ["Notebooks", "ノートブック"],
  activity: ["Activity", "活動"],
  manage: ["Manage", "管理"],
  token: ["Your token", "トークン"],
  token_hint: [
    "This server wants to know who you are. Its operator gives you a token.",
    "このサーバーには認証が必要です。トークンは管理者から受け取ってください。",
  ],
  token_use: ["Continue", "続ける"],
  language: ["日本語", "English"],
  theme: ["Light/dark", "明/暗"],
  connecting: ["Connecting…", "接続中…"],
  live: ["Live", "ライブ"],
  stale: ["Partly delayed", "一部遅延"],
  lost: ["Connection lost — trying again", "接続が切れました。再接続しています"],
  state_help: ["Asks for help", "質問あり"],
  state_stuck: ["Stuck", "行き詰まり"],
  state_error: ["Error", "エラー"],
  state_active: ["Working", "作業中"],
  state_idle: ["Idle", "停止中"],
  search: ["Search", "検索"],
  sort: ["Sort by", "並べ替え"],
  sort_need: ["Who needs me", "支援の必要順"],
  sort_name: ["Name", "名前"],
  sort_heard: ["Last heard from", "最新の反応"],
  sort_errors: ["Errors in a row", "連続エラー"],
  show: ["Show", "表示"],
  everybody: ["Everybody", "全員"],
  by_team: ["By team", "チーム別"],
  no_team: ["No team", "チームなし"],
  nobody: ["Nobody matches.", "該当者はいません。"],
  cell: ["cell {0}", "セル {0}"],
  runs: ["runs {0}", "実行 {0}"],
  in_a_row: ["errors in a row {0}", "連続エラー {0}"],
  never: ["not heard from yet", "まだ反応なし"],
  seconds: ["{0} s ago", "{0} 秒前"],
  minutes: ["{0} min ago", "{0} 分前"],
  hours: ["{0} h ago", "{0} 時間前"],
  legend: [
    "Stuck: {0} errors in a row or more. Idle: nothing heard for 5 minutes.",
    "行き詰まり：{0} 回以上の連続エラー。停止中：5 分以上反応なし。",
  ],
  asked: ["{0} asks for help", "{0} さんが質問しています"],
  queue_rule: [
    "Who has waited longest comes first; those a teacher is already with come last. A call ends when the student ends it, when it is resolved, or after 30 s without a sign.",
    "待ち時間の長い順です。対応中の人は最後に並びます。学生が取り消すか、解決されるか、30 秒間信号がないと終わります。",
  ],
  queue_empty: ["Nobody asks for help.", "質問している人はいません。"],
  waiting: ["waiting {0}", "待ち時間 {0}"],
  take: ["I go there", "対応する"],
  taken: ["{0} is there", "{0} さんが対応中"],
  resolve: ["Resolved", "解決"],
  your_name: ["Your name", "あなたの名前"],
  name_first: ["Say who you are first.", "先に名前を入力してください。"],
  last_error: ["Last error", "最後のエラー"],
  no_error: ["No error lately", "最近のエラーなし"],
  radar_rule: [
    "Errors of the last {0} minutes, by cell and kind. A group that {1} students have met is announced once.",
    "過去 {0} 分間のエラーをセルと種類ごとにまとめています。{1} 人以上になると一度通知します。",
  ],
  radar_empty: ["No errors in the last {0} minutes.", "過去 {0} 分間にエラーはありません。"],
  radar_group: ["{0} of {1} have {2} in {3}", "{1} 人中 {0} 人：{3} で {2}"],
  a_cell: ["a cell", "セル"],
  example: ["Example ({0})", "例（{0}）"],
  who: ["Who", "学生"],
  trend: ["errors over time: {0}", "エラーの推移：{0}"],
  output: ["Output", "出力"],
  error: ["Error", "エラー"],
  timeline: ["Executions", "実行履歴"],
  opened: ["Notebooks", "ノートブック"],
  submissions: ["Submissions", "提出物"],
  more: ["More", "さらに表示"],
  nothing: ["Nothing yet.", "まだありません。"],
  opened_it: ["opened", "開いた"],
  saved_it: ["saved", "保存した"],
  closed_it: ["closed", "閉じた"],
  attempt: ["attempt {0}", "{0} 回目"],
  late: ["late", "期限後"],
  grade: ["Grade", "評点"],
  feedback: ["Feedback", "コメント"],
  save: ["Save", "保存"],
  saved: ["Saved.", "保存しました。"],
  cancel: ["Cancel", "キャンセル"],
  change: ["Change", "変更"],
  delete: ["Delete", "削除"],
  deleted: ["“{0}” is deleted.", "「{0}」を削除しました。"],
  remove: ["Remove", "外す"],
  grading: ["Grading", "採点"],
  grade_of: ["Grade (of {0})", "評点（{0} 点満点）"],
  ungraded: ["not graded", "未採点"],
  all_graded: ["All others are graded.", "ほかはすべて採点済みです。"],
  next_ungraded: ["Next without a grade: {0} ({1} to go)", "次の未採点：{0}（残り {1} 件）"],
  source: ["As it was written", "書かれたまま"],
  choose_notebook: ["Notebook", "ノートブック"],
  no_notebooks: ["No notebook has been used yet.", "使われたノートブックはまだありません。"],
  not_reached: ["not reached", "未着手"],
  reached: ["reached", "到達"],
  failed_n: ["failed {0} times", "{0} 回失敗"],
  succeeded_n: ["succeeded at attempt {0}", "{0} 回目で成功"],
  success_rate: ["Success", "成功率"],
  attempts: ["Attempts (median)", "試行回数（中央値）"],
  time: ["Time (median)", "時間（中央値）"],
  top_errors: ["Top errors", "主なエラー"],
  refresh: ["Refresh", "更新"],
  executions: ["Executions", "実行"],
  helps: ["Help signals", "質問の信号"],
  every_minute: ["every minute", "1 分ごと"],
  every_5: ["every 5 minutes", "5 分ごと"],
  every_hour: ["every hour", "1 時間ごと"],
  interval: ["Interval", "間隔"],
  replay: ["Replay", "再生"],
  moment: ["Moment", "時点"],
  lesson_end: ["Lesson up to (empty: now)", "授業の終わり（空欄は現在）"],
  class_then: ["The class at that moment", "この時点のクラス"],
  pause: ["Pause", "一時停止"],
  until: [
    "Up to {0}: {1} executions, {2} errors, {3} help signals",
    "{0} まで：実行 {1}、エラー {2}、質問の信号 {3}",
  ],
  as_table: ["As a table", "表で見る"],
  welcome: ["Welcome", "ようこそ"],
  welcome_empty: [
    "The server runs, and there is no class yet.",
    "サーバーは動いています。クラスはまだありません。",
  ],
  first_event: ["1. Send a first event", "1. 最初のイベントを送る"],
  first_class: ["2. Make a class", "2. クラスを作る"],
  first_demo: ["Or look at a class of 38 simulated students", "または 38 人の模擬クラスを見る"],
  extension: [
    "In JupyterLab: Settings → Settings Editor → Cell Monitor, server URL {0}",
    "JupyterLab では：設定 → 設定エディター → Cell Monitor、サーバー URL {0}",
  ],
  first_student: [
    "No student is enrolled yet: do it in “Manage”.",
    "学生が登録されていません。「管理」で登録してください。",
  ],
  put_away: ["{0} (put away)", "{0}（終了）"],
  is_active: ["In use (else it is put away)", "使用中（外すと「終了」になります）"],
  delete_class: ["Delete the class", "クラスを削除"],
  delete_class_sure: [
    "Delete the class “{0}” and its roster? What students did stays.",
    "クラス「{0}」と名簿を削除しますか？学生の記録は残ります。",
  ],
  class_has_assignments: [
    "The class still has assignments. Delete them first, or put the class away: untick “In use”.",
    "クラスに課題が残っています。先に課題を削除するか、「使用中」を外してクラスを終了してください。",
  ],
  delete_assignment: ["Delete the assignment", "課題を削除"],
  delete_assignment_sure: ["Delete the assignment “{0}”?", "課題「{0}」を削除しますか？"],
  assignment_has_submissions: [
    "Students have handed something in. That is evidence, so the assignment stays.",
    "提出物があります。記録として残すため、この課題は削除できません。",
  ],
  roster: ["Roster", "名簿"],
  user_id: ["Id", "学籍番号"],
  team: ["Team", "チーム"],
  role: ["Role", "役割"],
  role_of: ["Role of {0}", "{0} さんの役割"],
  student: ["Student", "学生"],
  assistant: ["Assistant", "助手"],
  teacher: ["Teacher", "教員"],
  remove_who: ["Remove {0}", "{0} さんを外す"],
  remove_sure: [
    "Take {0} off the roster? What they did and handed in stays.",
    "{0} さんを名簿から外しますか？活動の記録と提出物は残ります。",
  ],
  new_class: ["New class", "新しいクラス"],
  class_code: ["Code", "コード"],
  name: ["Name", "名前"],
  create: ["Create", "作成"],
  enrol: ["Enrol", "登録"],
  enrol_hint: [
    "One student to a line: id, name, email, team, role; only the id is needed. Or a CSV file with its headings.",
    "1 行に 1 人：学籍番号,氏名,メール,チーム,役割（必要なのは学籍番号だけ）。見出し付きの CSV も貼り付けられます。",
  ],
  enrolled: ["{0} enrolled.", "{0} 人を登録しました。"],
  pending: ["Pending", "保留中"],
  pending_hint: [
    "In another teacher's class, shown here once an administrator has enrolled them: {0}",
    "他の教員のクラスの学生です。管理者が登録すると、ここにも表示されます: {0}",
  ],
  assignments: ["Assignments", "課題"],
  hand_out: ["Hand out", "配布"],
  heading: ["Title", "題名"],
  path: ["Notebook path", "ノートブックのパス"],
  description: ["Description", "説明"],
  handed_out: ["“{0}” is handed out.", "「{0}」を配布しました。"],
  no_assignments: ["Nothing is handed out yet.", "配布した課題はまだありません。"],
  due: ["Due", "締切"],
  points: ["Points", "配点"],
  students_submitted: ["{0} submissions, {1} graded", "提出 {0} 件（採点済み {1} 件）"],
  content_none: ["Handed in without a notebook.", "ノートブックなしで提出されました。"],
  not_found: ["There is no such class or page.", "そのクラスまたはページはありません。"],
  failed: ["That did not work: {0}", "失敗しました：{0}"],
};

const LANGUAGES = ["en", "ja"];

function stored() {
  const asked = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem("lang");
  if (LANGUAGES.includes(asked)) return asked;
  return navigator.language.startsWith("ja") ? "ja" : "en";
}

export const language = stored();
document.documentElement.lang = language;

export function otherLanguage() {
  localStorage.setItem("lang", language === "ja" ? "en" : "ja");
  const url = new URL(location.href);
  url.searchParams.delete("lang");
  if (url.href === location.href) location.reload();
  else location.replace(url);
}

export function t(name, ...parts) {
  return TEXTS[name][LANGUAGES.indexOf(language)].replace(/\{(\d)\}/g, (_, place) => parts[place]);
}

export function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return t("seconds", seconds);
  if (seconds < 3600) return t("minutes", Math.floor(seconds / 60));
  return t("hours", Math.floor(seconds / 3600));
}

export function minutes(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

export function when(time) {
  return new Date(time).toLocaleString(language, { dateStyle: "short", timeStyle: "medium" });
}

export function cellName(position) {
  return position === null || position === undefined ? t("a_cell") : t("cell", position + 1);
}
