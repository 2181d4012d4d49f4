// The page's texts, in English and Japanese, and how it writes times.

import { ALERT_TEXTS } from "./alert-texts.js";
import { ATTEMPT_TEXTS } from "./attempt-texts.js";
import { CALL_TEXTS } from "./call-texts.js";
import { CELL_TEXTS } from "./cell-texts.js";
import { HOME_TEXTS } from "./home-texts.js";
import { LABEL_TEXTS } from "./label-texts.js";
import { JOINING_TEXTS } from "./joining-texts.js";
import { INVITE_TEXTS } from "./invite-texts.js";
import { KEY_TEXTS } from "./key-texts.js";
import { LESSON_TEXTS } from "./lesson-texts.js";
import { NOTIFICATION_TEXTS } from "./notification-texts.js";
import { PICTURE_TEXTS } from "./picture-texts.js";
import { NOTEBOOK_COPIES_TEXTS } from "./notebook-copies-texts.js";
import { RADAR_TEXTS } from "./radar-texts.js";
import { ROSTER_TEXTS } from "./roster-texts.js";
import { RUNNING_TEXTS } from "./running-texts.js";
import { SIGN_IN_TEXTS } from "./sign-in-texts.js";
import { TOKEN_TEXTS } from "./token-texts.js";
import { VIEWER_TEXTS } from "./viewer-texts.js";

/** @typedef {"en" | "ja"} Language */

const LANGUAGE_KEY = "lang"; // in the address and in the browser's storage

// English and Japanese. {0} is the first argument; "a|b" is singular and plural by that number.
/** @satisfies {Record<string, [string, string]>} */
const TEXTS = {
  ...ALERT_TEXTS,
  ...ATTEMPT_TEXTS,
  ...CALL_TEXTS,
  ...CELL_TEXTS,
  ...HOME_TEXTS,
  ...LABEL_TEXTS,
  ...JOINING_TEXTS,
  ...PICTURE_TEXTS,
  ...INVITE_TEXTS,
  ...KEY_TEXTS,
  ...LESSON_TEXTS,
  ...NOTEBOOK_COPIES_TEXTS,
  ...NOTIFICATION_TEXTS,
  ...RADAR_TEXTS,
  ...ROSTER_TEXTS,
  ...RUNNING_TEXTS,
  ...SIGN_IN_TEXTS,
  ...TOKEN_TEXTS,
  ...VIEWER_TEXTS,
  title: ["Cell Monitor", "Cell Monitor"],
  views: ["Views", "画面"],
  class: ["Class", "クラス"],
  students: ["Students", "学生"],
  help: ["Help", "呼び出し"],
  errors: ["Errors", "エラー"],
  notebooks: ["Notebooks", "ノートブック"],
  activity: ["Look back", "ふりかえり"],
  manage: ["Manage", "管理"],
  token: ["Your token", "トークン"],
  token_hint: [
    "Sign in with the token your administrator gave you.",
    "管理者から受け取ったトークンを入力してください。",
  ],
  token_use: ["Sign in", "ログイン"],
  language: ["日本語", "English"],
  theme: ["Light / dark", "ライト／ダーク"],
  close: ["Close", "閉じる"],
  menu: ["Menu", "メニュー"],
  connecting: ["Connecting…", "接続しています…"],
  live: ["Live", "接続済み"],
  stale: ["Some updates are delayed", "一部の更新が遅れています"],
  polling: ["Updated every 5 seconds", "5 秒ごとに更新"],
  lost: ["Connection lost, reconnecting…", "切断されました。再接続しています…"],
  state_help: ["Calling", "呼び出し中"],
  state_stuck: ["Stuck", "つまずき"],
  state_error: ["Error", "エラー"],
  state_active: ["Working", "作業中"],
  state_idle: ["Idle", "操作なし"],
  search: ["Search", "検索"],
  sort: ["Sort by", "並べ替え"],
  sort_need: ["Most urgent first", "対応が必要な順"],
  sort_name: ["Name", "名前順"],
  sort_heard: ["Last active", "最近操作した順"],
  sort_errors: ["Errors in a row", "連続エラーの多い順"],
  show: ["Show", "表示"],
  everybody: ["Everyone", "全員"],
  by_team: ["By team", "チーム別"],
  no_team: ["No team", "チームなし"],
  nobody: ["No students match.", "該当する学生はいません。"],
  cell: ["cell {0}", "セル {0}"],
  a_cell: ["a cell", "セル"],
  place: ["{0}, {1}", "{0} の{1}"],
  runs: ["{0} run|{0} runs", "実行 {0} 回"],
  in_a_row: ["{0} error in a row|{0} errors in a row", "連続エラー {0} 回"],
  never: ["no activity yet", "未接続"],
  seconds: ["{0} s ago", "{0} 秒前"],
  minutes: ["{0} min ago", "{0} 分前"],
  hours: ["{0} h ago", "{0} 時間前"],
  legend: [
    "Stuck: {0} errors in a row, or {1} min of errors without a success. Idle: no activity for {2} minutes, and no cell known to run.",
    "つまずき：エラーが {0} 回以上続いている、または {1} 分以上成功していない。操作なし：{2} 分以上操作がなく、実行中のセルもない。",
  ],
  example: ["Example: {0}", "例：{0} さん"],
  trend: ["errors over time: {0}", "エラー数の推移：{0}"],
  output: ["Output", "出力"],
  error: ["Error", "エラー"],
  timeline: ["Runs", "実行履歴"],
  opened: ["Notebook use", "ノートブックの利用"],
  submissions: ["Submissions", "提出物"],
  more: ["Show more", "さらに表示"],
  nothing: ["None yet.", "まだありません。"],
  opened_it: ["opened", "開いた"],
  saved_it: ["saved", "保存した"],
  closed_it: ["closed", "閉じた"],
  attempt: ["attempt {0}", "{0} 回目の提出"],
  late: ["late", "期限後"],
  grading: ["Grading", "採点"],
  grade: ["Grade", "点数"],
  grade_of: ["Grade (out of {0})", "点数（{0} 点満点）"],
  graded: ["grade {0}", "{0} 点"],
  ungraded: ["not graded", "未採点"],
  feedback: ["Feedback", "コメント"],
  all_graded: ["All other submissions are graded.", "ほかの提出物はすべて採点済みです。"],
  next_ungraded: ["Next ungraded: {0} ({1} left)", "次の未採点：{0} さん（残り {1} 件）"],
  save: ["Save", "保存"],
  saved: ["Saved.", "保存しました。"],
  cancel: ["Cancel", "キャンセル"],
  change: ["Edit", "編集"],
  change_what: ["Edit “{0}”", "「{0}」を編集"],
  delete: ["Delete", "削除"],
  deleted: ["“{0}” was deleted.", "「{0}」を削除しました。"],
  source: ["Source", "ソース"],
  choose_notebook: ["Notebook", "ノートブック"],
  no_notebooks: [
    "No notebooks have been used yet.",
    "使われたノートブックはまだありません。",
  ],
  not_reached: ["not started", "未着手"],
  reached: ["started", "着手"],
  failed_n: ["{0} error|{0} errors", "エラー {0} 回"],
  succeeded_n: ["succeeded on run {0}", "{0} 回目で成功"],
  success_rate: ["Success rate", "成功率"],
  attempts: ["Runs to success (median)", "成功までの実行回数（中央値）"],
  time: ["Run time (median)", "実行時間（中央値）"],
  top_errors: ["Most common errors", "多いエラー"],
  executions: ["Runs", "実行"],
  students_waiting: ["Students waiting", "呼び出し中の学生"],
  waiting_rule: [
    "Students waiting: those with an open call for help in the interval. By the hour, those who had the button on. A hatched bar isn't over yet.",
    "呼び出し中の学生：その時間帯に講師を呼んでいた人数です（対応済みの呼び出しは除く）。1 時間間隔では、ボタンをオンにしていた人数です。斜線の棒は集計途中です。",
  ],
  every_minute: ["1 minute", "1 分"],
  every_5: ["5 minutes", "5 分"],
  every_hour: ["1 hour", "1 時間"],
  interval: ["Interval", "間隔"],
  replay: ["Replay", "再生"],
  pause: ["Pause", "一時停止"],
  moment: ["Point in time", "時点"],
  lesson_end: ["Lesson ends at (empty: now)", "授業の終了時刻（空欄なら現在）"],
  class_then: ["The class at that time", "この時点のクラス"],
  until: [
    "Up to {0}: runs {1}, errors {2}, most students waiting in one interval {3}",
    "{0} まで：実行 {1} 回、エラー {2} 回、呼び出し中の学生 最大 {3} 人",
  ],
  as_table: ["Show as a table", "表で見る"],
  first_demo: [
    "Or try a class of 38 simulated students: in a terminal, run",
    "または、架空の学生 38 人のクラスで試す（ターミナルで次を実行）",
  ],
  first_student: [
    "No students yet. Invite them with a link, or enrol them under “Manage”.",
    "学生がまだいません。リンクで招待するか、「管理」で登録してください。",
  ],
  new_class: ["New class", "クラスを作る"],
  class_code: ["Code", "クラスコード"],
  class_name: ["Name", "クラス名"],
  description: ["Description", "説明"],
  create: ["Create", "作成"],
  archived: ["{0} (archived)", "{0}（終了）"],
  is_active: [
    "Active (untick to archive: its links and keys end for good)",
    "使用中（外すと「終了」になり、リンクとキーは二度と使えなくなります）",
  ],
  copy_class: ["Copy for the next term", "次の学期用に複製"],
  make_copy: ["Copy", "複製"],
  copy_class_hint: [
    "A new class with the same assignments, without due dates and students.",
    "同じ課題の新しいクラスを作ります。提出期限と学生は引き継がれません。",
  ],
  delete_class: ["Delete the class", "クラスを削除"],
  delete_class_sure: [
    "Delete the class “{0}” and its roster? The students' activity stays on record.",
    "クラス「{0}」と名簿を削除しますか？学生の活動の記録は残ります。",
  ],
  class_cannot_be_deleted: [
    "The class has assignments or recorded activity. Delete the assignments first, or archive the class: untick “Active”.",
    "クラスに課題または活動の記録が残っています。先に課題を削除するか、「使用中」を外してクラスを終了してください。",
  ],
  roster: ["Roster ({0})", "名簿（{0} 人）"],
  people: ["Roster", "名簿"],
  nobody_enrolled: ["Nobody is enrolled yet.", "まだ誰も登録されていません。"],
  name: ["Name", "氏名"],
  user_id: ["ID", "学籍番号"],
  team: ["Team", "チーム"],
  role: ["Role", "役割"],
  role_of: ["Role of {0}", "{0} さんの役割"],
  student: ["Student", "学生"],
  assistant: ["Assistant", "TA"],
  teacher: ["Teacher", "教員"],
  email: ["Email", "メール"],
  edit_who: ["Edit {0}", "{0} さんを編集"],
  remove: ["Remove", "外す"],
  remove_who: ["Remove {0}", "{0} さんを外す"],
  remove_sure: [
    "Remove {0} from the roster? Their activity and submissions stay on record.",
    "{0} さんを名簿から外しますか？活動の記録と提出物は残ります。",
  ],
  enrol: ["Enrol", "登録"],
  enrolled: ["{0} enrolled.", "{0} 人を登録しました。"],
  assignments: ["Assignments", "課題"],
  no_assignments: ["No assignments yet.", "課題はまだありません。"],
  new_assignment: ["New assignment", "課題を出す"],
  assign: ["Assign", "課題を出す"],
  assigned: ["“{0}” was assigned.", "課題「{0}」を出しました。"],
  path: ["Notebook path", "ノートブックのパス"],
  assignment_title: ["Title", "課題名"],
  due: ["Due", "提出期限"],
  due_at: ["due {0}", "提出期限 {0}"],
  points: ["Points", "配点"],
  points_of: ["{0} point|{0} points", "配点 {0} 点"],
  submissions_graded: [
    "{0} submission, {1} graded|{0} submissions, {1} graded",
    "提出 {0} 件（採点済み {1} 件）",
  ],
  content_none: ["Submitted without a notebook.", "ノートブックなしで提出されました。"],
  delete_assignment: ["Delete the assignment", "課題を削除"],
  delete_assignment_sure: ["Delete the assignment “{0}”?", "課題「{0}」を削除しますか？"],
  assignment_has_submissions: [
    "Students have submitted work. It stays on record, so the assignment can't be deleted.",
    "提出物があります。記録として残すため、この課題は削除できません。",
  ],
  not_found: ["Class or page not found.", "クラスまたはページが見つかりません。"],
  failed: ["Failed: {0}", "失敗しました：{0}"],
};

/** @typedef {keyof typeof TEXTS} TextName */
/** @import { LearnerWord } from "./types.d.ts" */

/**
 * What texts in Japanese call learners; they are written with the first.
 *
 * @type {Record<LearnerWord, string>}
 */
export const LEARNER_WORDS = { student: "学生", pupil: "生徒" };
/** @type {LearnerWord} */
let learnerWord = "student";

export const language = chooseLanguage();
document.documentElement.lang = language;

/** @returns {Language} */
function chooseLanguage() {
  const inAddress = new URLSearchParams(location.search).get(LANGUAGE_KEY);
  const chosen = inAddress ?? localStorage.getItem(LANGUAGE_KEY);
  if (chosen === "en" || chosen === "ja") return chosen;
  return navigator.language.startsWith("ja") ? "ja" : "en";
}

/**
 * Has texts in Japanese call learners as these classes do from now on, where they agree.
 *
 * @param {{ learner_word: LearnerWord | null }[]} classes
 */
export function callLearnersAs(classes) {
  const isPupils = classes.length > 0 && classes.every((each) => each.learner_word === "pupil");
  learnerWord = isPupils ? "pupil" : "student";
}

/** What they are called now. */
export function currentLearnerWord() {
  return learnerWord;
}

/** Keeps the other language in the browser and loads the page again in it. */
export function otherLanguage() {
  localStorage.setItem(LANGUAGE_KEY, language === "ja" ? "en" : "ja");
  const url = new URL(location.href);
  url.searchParams.delete(LANGUAGE_KEY);
  if (url.href === location.href) location.reload();
  else location.replace(url);
}

/**
 * The text in the page's language.
 *
 * @param {TextName} name
 * @param {...(string | number)} parts
 */
export function t(name, ...parts) {
  const [english, japanese] = TEXTS[name];
  const [singular, plural = singular] = (language === "ja" ? japanese : english).split("|");
  const written = parts[0] === 1 ? singular : plural;
  // Before what people wrote is put in: a class may have 学生 in its name.
  const text = written.replaceAll(LEARNER_WORDS.student, LEARNER_WORDS[learnerWord]);
  return text.replace(/\{(\d)\}/g, (_, place) => String(parts[place]));
}

/**
 * How long ago something was.
 *
 * @param {number} ms
 */
export function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return t("seconds", seconds);
  if (seconds < 3600) return t("minutes", Math.floor(seconds / 60));
  return t("hours", Math.floor(seconds / 3600));
}

/**
 * Minutes and seconds, as 5:07.
 *
 * @param {number} ms
 */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/**
 * How long a run took; empty where the client doesn't measure it, and says nothing or 0. The server counts
 * what is shorter than 1 ms as 1.
 *
 * @param {number | null} ms
 */
export function runTime(ms) {
  if (ms === null || Math.round(ms) <= 1) return "";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/**
 * @param {string | number} time of the API, or ms
 * @param {"short" | "medium"} [timeStyle] without or with seconds
 */
export function formatTime(time, timeStyle = "medium") {
  return new Date(time).toLocaleString(language, { dateStyle: "short", timeStyle });
}

/** @param {string} day of the API, or a time */
export function formatDate(day) {
  return new Date(day).toLocaleDateString(language, { dateStyle: "short" });
}

/**
 * What a cell is called, as far as it is known: by its first line of code and the heading above it. Its
 * number, which Jupyter doesn't show, stands in for the code.
 *
 * @param {number | null | undefined} position from 0
 * @param {string | null} [title] the first line of code
 * @param {string | null} [heading]
 */
export function cellName(position, title, heading) {
  const isNumbered = position !== null && position !== undefined;
  const number = isNumbered ? t("cell", position + 1) : t("a_cell");
  const name = title ? t("cell_titled", title) : number;
  return heading ? t("cell_below", name, heading) : name;
}

/**
 * The number of a cell that is called by its code.
 *
 * @param {number | null | undefined} position from 0
 * @param {string | null} title
 */
export function cellHint(position, title) {
  return title && position !== null ? cellName(position) : "";
}
