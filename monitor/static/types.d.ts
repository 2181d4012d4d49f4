// Shapes of the API's answers and live messages (docs/insight.md, docs/live.md, /docs), for the type
// check alone: no script loads this file. Times are ISO 8601 texts.

export type State = "help" | "stuck" | "error" | "active" | "idle";
export type SeatState = State | "reading" | "finished" | "absent";
export type ConnectionState = "connecting" | "live" | "stale" | "lost" | "ended" | "polling";
export type Role = "student" | "assistant" | "teacher";

export interface Class {
  id: number;
  name: string;
  class_code: string;
  description: string | null;
  is_active: boolean;
  is_demo: boolean;
  join_policy: JoinPolicy;
  max_new_names: number;
  stuck_errors: number;
  stuck_minutes: number;
  learner_word: LearnerWord;
}

/** When a student of a class is stuck. */
export type StuckRule = Pick<Class, "stuck_errors" | "stuck_minutes">;

/** 学生 or 生徒. */
export type LearnerWord = "student" | "pupil";

export type JoinPolicy = "open" | "approve" | "roster";

export interface Person {
  student_id: number;
  user_id: string;
  name: string | null;
}

/** Somebody who waits to be let into a class. */
export interface WaitingStudent extends Person {
  team: string | null;
  waiting_since: string;
  credential: string | null;
  executions: number;
  last_received_at: string | null;
}

/** A student on no roster. */
export interface HeardStudent extends Person {
  last_received_at: string;
}

export interface Refusal {
  reason:
    | "not_on_roster"
    | "too_many_waiting"
    | "removed"
    | "ended_key"
    | "over_limit"
    | "too_many_cells"
    | "too_many_notebooks"
    | "too_many_sessions"
    | "too_many_students";
  events: number;
  senders: number;
  is_more: boolean;
  user_ids: string[];
  first_at: string;
  last_at: string;
}

export interface SharedId extends Person {
  first_at: string;
  last_at: string;
}

export interface ClassRefusals {
  refusals: Refusal[];
  shared_ids: SharedId[];
  never_heard: number;
  silent: Person[];
}

/** An open invitation to a class. */
export interface InviteLink {
  class_id: number;
  class_name: string;
  code: string;
  own_tokens: boolean;
  url: string;
  qr_image: string; // data: URI
}

export interface StudentNow {
  student_id: number;
  user_id: string;
  name: string | null;
  team: string | null;
  number: number | null; // on the class's list
  kana: string | null;
  seat_row: number | null; // from 1 at the front
  seat_column: number | null; // from 1 at the left
  state: Exclude<State, "stuck">;
  notebook_id: number | null;
  notebook_path: string | null;
  cell_id: string | null;
  cell_position: number | null;
  cell_title: string | null; // its first line of code
  cell_heading: string | null; // the nearest above it
  executions: number;
  errors: number;
  errors_in_a_row: number;
  failing_since: string | null; // the first failure at the cell that failed last, since a success there
  failing_cell_id: string | null;
  last_run_at: string | null;
  called_at: string | null; // the latest heartbeat of the help button, if it is on
  last_heard_at: string | null;
  verified: boolean; // the student's own credential posts into the class
  running_since: string | null;
  running_cell_id: string | null;
  executions_in_no_class: number;
  errors_in_no_class: number;
}

/** A student of the store. */
export interface Student extends StudentNow {
  heard: number; // ms of the server's clock, 0: never
  latest: number; // ms of the server's clock: when the latest known event happened
  failing: number; // ms of the server's clock: since when the cell that failed last has failed, 0: it was no failure
  failures: Map<string, number>; // the same of each cell without a success since, by cell_id; "": of none
  ran: number; // ms of the server's clock: when a run ended last, 0: never
  ofClass: Counts;
  ofNone: Counts; // on an open server: what was done in no class
  run: Run | null;
}

/** A cell that runs. */
export interface Run {
  since: number; // ms of the server's clock
  cellId: string | null;
}

/** The room of a class; without one of its own it has no rows. */
export interface Room {
  rows: number;
  columns: number;
  aisles: number[]; // columns behind which there is one
  seats: { student_id: number; row: number; column: number }[];
}

/** How far the students are in an assignment; who has done nothing is left out. */
export interface AssignmentProgress {
  assignment_id: number;
  notebook_id: number;
  title: string;
  cells: number;
  students: StudentProgress[];
}

export interface StudentProgress {
  student_id: number;
  succeeded: number;
  handed_in: boolean;
}

export interface Counts {
  executions: number;
  errors: number;
  fetched: number; // executions when the class was fetched, which `errors_in_a_row` includes
}

/** A class in the list of all. */
export interface ClassNow {
  class_id: number;
  name: string;
  students: number;
  active: number;
  stuck: number;
  calls: number;
  last_heard_at: string | null;
}

/** A student, as they see what is stored of them. */
export interface Me {
  student_id: number;
  user_id: string;
  name: string | null;
  email: string | null;
  team: string | null;
  classes: MyClass[];
}

export interface MyClass {
  class_id: number | null; // null: none
  class_name: string | null;
  is_active: boolean;
  learner_word: LearnerWord | null;
  role: Role | "waiting" | null; // null: not on the roster
  name: string | null;
  email: string | null;
  team: string | null;
  number: number | null; // on the class's list
  kana: string | null;
  seat_row: number | null; // from 1 at the front
  seat_column: number | null; // from 1 at the left
  verified: boolean;
  executions: number;
  errors: number;
  notebook_path: string | null;
  cell_id: string | null;
  cell_position: number | null;
  cell_title: string | null; // its first line of code
  cell_heading: string | null; // the nearest above it
  last_heard_at: string | null;
}

export interface MyAssignment {
  assignment_id: number;
  class_name: string;
  title: string;
  due_date: string | null;
  points: number | null;
  cells_run: number;
  cells_succeeded: number;
  attempt: number | null; // of the latest submission, like what follows
  submitted_at: string | null;
  late: boolean | null;
  grade: number | null;
  feedback: string | null;
}

export interface HelpRequestAnswer {
  student_id: number;
  user_id: string;
  name: string | null;
  team: string | null;
  asked_at: string;
  repeated_at: string;
  notebook_path: string | null;
  cell_id: string | null;
  cell_position: number | null;
  cell_title: string | null; // its first line of code
  cell_heading: string | null; // the nearest above it
  last_error: {
    at: string;
    error: string | null;
    code: string | null;
    solved_at: string | null;
  } | null;
  calls: number; // today
  taken_by: string | null;
  taken_at: string | null;
}

/** A teacher who is in the class; no rows and no teams: they look after everybody. */
export interface Duty {
  name: string;
  seat_rows: number[];
  teams: string[];
}

export interface Duties {
  teachers: Duty[];
}

/** A help request of the store. */
export interface HelpRequest extends HelpRequestAnswer {
  heard: number; // ms of the server's clock
  confirmed: boolean; // by the queue; until then its error and how often today are not known
}

export interface ErrorGroup {
  notebook_id: number | null;
  notebook_path: string | null;
  cell_id: string | null;
  cell_position: number | null;
  cell_title: string | null; // its first line of code
  cell_heading: string | null; // the nearest above it
  place: string | null;
  error: string;
  count: number;
  students: string[]; // user_ids: who met it
  still: string[]; // who has not got past the cell since
  trend: number[];
  last_at: string;
  example_of: string;
  example: string | null;
  code: string | null;
}

export interface Radar {
  students: number;
  minutes: number;
  groups: ErrorGroup[];
  more: number; // groups that are left out
}

export interface Interval {
  start: string;
  executions: number;
  errors: number;
  helps: number;
  waiting: number; // students
}

export interface CellProgress {
  place: string; // `id:…`, `index:…` or `added:…`
  cell_id: string | null; // null: placed by index
  position: number | null;
  title: string | null; // its first line of code
  heading: string | null; // the nearest above it
  ran: number;
  succeeded: number;
  attempts_median: number | null;
  duration_median_ms: number | null;
  frequent_errors: { error: string; count: number; students: string[] }[];
}

export interface NotebookCopy {
  notebook_id: number;
  notebook_path: string;
  paths: string[];
  reason: "cells" | "name" | "merged";
  cells: number | null;
  known: number | null;
  students: string[];
  decided_by: string | null;
  decided_at: string | null;
}

export interface OtherNotebook {
  notebook_id: number;
  notebook_path: string;
  is_apart: boolean;
  cells: number;
  known: number;
  students: string[];
  decided_by: string | null;
  decided_at: string | null;
}

export interface NotebookCopies {
  notebook_id: number;
  notebook_path: string;
  is_handed_out: boolean;
  paths: string[];
  copies: NotebookCopy[];
  others: OtherNotebook[];
}

export interface NotebookProgress {
  notebook_id: number;
  notebook_path: string;
  cells: CellProgress[];
  more_cells: number; // left out
}

export interface StudentCell {
  student_id: number;
  place: string;
  cell_id: string | null;
  executions: number;
  errors: number;
  succeeded: boolean;
  attempts: number | null;
}

export interface Notebook {
  id: number;
  path: string;
  name: string;
}

export interface Assignment {
  id: number;
  class_id: number;
  notebook_id: number;
  title: string;
  description: string | null;
  due_date: string | null;
  points: number | null;
}

export interface Submission {
  id: number;
  assignment_id: number;
  student_id: number;
  user_id: string;
  attempt: number;
  grade: number | null;
  feedback: string | null;
  submitted_at: string;
  late: boolean;
}

export interface SubmissionWithContent extends Submission {
  notebook_content: NotebookContent | null;
  irregularities?: Irregularity[] | null;
}

/** Something about a submitted notebook that its format hasn't. */
export interface Irregularity {
  cell: number | null; // from 0
  finding: string;
}

/** A submission in a student's list. */
export interface StudentSubmission {
  id: number;
  assignment_id: number;
  title: string;
  attempt: number;
  grade: number | null;
  submitted_at: string;
  late: boolean;
}

export interface RosterEntry {
  student_id: number;
  user_id: string;
  name: string | null;
  email: string | null;
  team: string | null;
  role: Role | "waiting";
  number: number | null; // on the class's list
  kana: string | null;
  seat: string | null; // letters of the row, number of the column: A3
}

/** What an enrolment says of a line of the roster. */
export type LineField = "number" | "name" | "kana" | "email" | "team" | "seat" | "role";

/** What an enrolment changes, or has changed. */
export interface EnrolmentReport {
  counts: {
    new: number;
    changed: number;
    unchanged: number;
    look_alikes: number;
    absent: number;
    left_out: number;
  };
  file: RosterFile;
  lines: EnrolmentLine[];
  absent: Person[];
  remarks: { line: number; remark: Remark; message: string }[];
  room: { rows: number; columns: number } | null; // if it gets larger
}

export type Remark =
  | "title"
  | "headings"
  | "totals"
  | "note"
  | "test_student"
  | "repeated"
  | "full_width"
  | "invisible";

export interface RosterFile {
  format: "headings" | "no_headings" | "moodle" | "canvas" | "google_classroom" | "nbgrader";
  encoding: string;
  columns: RosterColumn[];
}

export interface RosterColumn {
  number: number; // from 1
  heading: string | null;
  field: LineField | "user_id" | "last_name" | "first_name" | "last_kana" | "first_kana" | null;
}

export interface EnrolmentLine {
  line: number;
  outcome: "new" | "changed" | "unchanged";
  user_id: string;
  number: number | null;
  name: string | null;
  kana: string | null;
  email: string | null;
  team: string | null;
  seat: string | null;
  role: Role;
  changes: {
    field: LineField;
    old: string | number | null;
    new: string | number | null;
  }[];
  looks_like: {
    user_id: string;
    name: string | null;
    line: number | null;
    likenesses: ("case" | "width" | "zeros" | "email" | "id_in_email")[];
  }[];
}

/** A student's own ingest token, without its secret. */
export interface StudentToken {
  id: number;
  student_id: number;
  user_id: string;
  class_id: number | null;
  created_at: string;
  valid_to: string | null;
  claimed: boolean;
  last_used_on: string | null; // a day
}

/** One just issued: `url` has its secret. */
export interface IssuedToken extends StudentToken {
  url: string;
  qr_image: string; // data: URI
}

/** A class's key, without its secret. */
export interface IngestKey {
  id: number;
  class_id: number | null;
  name: string;
  created_by: string;
  created_at: string;
  valid_to: string | null;
}

export type NotificationKind = "help" | "class_error" | "quota" | "key_abuse";

/** Where a class's notifications go; `problem` is why the latest did not arrive. */
export interface NotificationReceiver {
  id: number;
  class_id: number;
  name: string;
  service: string;
  kinds: NotificationKind[];
  created_by: string;
  created_at: string;
  delivered_at: string | null;
  failed_at: string | null;
  problem: string | null;
}

/** When they are sent, and in which language. */
export interface NotificationRules {
  language: "en" | "ja";
  time_zone: string;
  quiet_from: string | null;
  quiet_until: string | null;
  help_minutes: number;
  error_percent: number;
}

/** An event that was sent with a key. */
export interface KeyEvent {
  student_id: number;
  user_id: string;
  received_at: string;
  claimed_at: string;
  event_id: string;
  event_type: string;
  notebook_path: string | null;
  cell_id: string | null;
  status: string | null;
  excluded: "disputed" | "withdrawn" | null;
}

export interface KeyEventPage {
  items: KeyEvent[];
  next: string | null;
}

export interface KeyStudent {
  student_id: number;
  user_id: string;
}

/** A withdrawal's receipt; `events` counts what is withdrawn now. */
export interface Withdrawal {
  id: number;
  key_id: number | null;
  token_id: number | null;
  since: string;
  until: string;
  requested_by: string;
  state: "withdrawing" | "withdrawn" | "replaying" | "replayed";
  events: number;
  problem: string | null;
}

export interface Execution {
  event_id: string;
  class_id: number | null; // null: none
  at: string; // by a right clock
  notebook_path: string | null;
  cell_id: string | null;
  cell_position: number | null;
  cell_title: string | null; // its first line of code
  cell_heading: string | null; // the nearest above it
  status: "success" | "error" | "rendered";
  duration_ms: number | null;
  code: string | null;
  output: string | null;
  error: string | null;
  pictures: number;
  output_cut: boolean;
  excluded: Exclusion | null;
  executed_at: string; // as the student's clock says
}

export interface Picture {
  media_type: string;
  bytes: number;
  data: string | null; // in base64; null: too large to be kept
}

/** A part of a line of code. */
export interface CodeSpan {
  text: string;
  kind?: "comment" | "keyword" | "builtin" | "name" | "string" | "number";
  changed?: boolean;
}

/** A line of a code, or of the one before it. */
export interface CodeLine {
  change: "same" | "added" | "removed";
  spans: CodeSpan[];
}

/** What a student changed since their run of the cell before. */
export interface RunChanges {
  event_id: string;
  lines: CodeLine[];
}

export interface Attempt {
  event_id: string;
  student_id: number;
  user_id: string;
  number: number; // from 1, of the student in this cell
  at: string;
  status: "success" | "error";
  duration_ms: number | null;
  output: string | null;
  error: string | null;
  lines: CodeLine[];
}

/** A page of the attempts at a cell, and what is to say of all of them. */
export interface CellAttempts {
  place: string;
  notebook_path: string;
  position: number | null;
  title: string | null; // its first line of code
  heading: string | null; // the nearest above it
  students: number;
  tried: number;
  solved: number;
  attempts: number;
  kinds: { error: string; count: number; students: number }[];
  items: Attempt[];
  next: string | null;
}

export interface CellAnalysis {
  place: string;
  cell_id: string | null;
  position: number | null;
  title: string | null; // its first line of code
  heading: string | null; // the nearest above it
  tried: number;
  solved: number;
  attempts_mean: number | null;
  attempts_median: number | null;
  solving_time_median: number | null; // s
  stuck: string[];
  handed_in_unsolved: string[];
}

export interface AssignmentAnalysis {
  assignment_id: number;
  notebook_id: number;
  notebook_path: string;
  title: string;
  points: number | null;
  students: number;
  handed_in: number;
  late: number;
  graded: number;
  grade_mean: number | null;
  cells: CellAnalysis[];
}

/** Why something that is stored doesn't count. */
export type Exclusion = "disputed" | "withdrawn";

export interface Access {
  event_id: string;
  class_id: number | null;
  at: string;
  notebook_path: string | null;
  action: string;
  excluded: Exclusion | null;
}

export interface Page<Item> {
  items: Item[];
  next: string | null;
}

/** A notebook as it was handed in, which may be irregular. */
export type NotebookContent = Record<string, unknown>;

/** An output of a cell. What is there may be of any type. */
export type Output = Record<string, unknown>;

// Live messages
export interface ExecutionUpdate {
  eventId: string;
  eventType: string;
  userId: string;
  classId: number | null; // null: none
  notebookPath: string | null;
  cellId: string | null;
  cellIndex: number | null;
  status: string | null;
  executions: number; // in that class
  errors: number;
  verified: boolean;
  name?: string | null; // where they may be new
  team?: string | null;
}

export interface HelpChange {
  studentId: number;
  userId: string;
  status: "waiting" | "taken" | "resolved";
  name: string;
  at: string;
  takenBy: string | null;
  takenAt: string | null;
}

/** As far as both messages say it: of a hand-in, and of a grade. */
export interface SubmissionChange {
  submissionId: number;
  assignmentId: number;
  userId: string;
}

export interface Notice {
  message: string;
  level: string;
}

interface Received<Event extends string, Data> {
  id: string;
  event: Event;
  channel?: string | null;
  timestamp: string;
  data: Data;
}

export type ChannelMessage =
  | Received<"execution_update", ExecutionUpdate>
  | Received<"help_request", HelpChange>
  | Received<"duties", Duties>
  | Received<"room", Room>
  | Received<"assignment_submitted" | "assignment_graded", SubmissionChange>
  | Received<"system_message", Notice>;

export type ControlMessage =
  | Received<"stale", unknown>
  | Received<"subscribed" | "resumed", { recovered?: boolean }>;

// Chart.js, as far as it is used
export interface Dataset {
  data: (number | null)[];
  backgroundColor: (string | CanvasPattern)[];
}

export interface Chart {
  data: { labels: string[]; datasets: Dataset[] };
  options: { scales: { y: { suggestedMax?: number } } };
  update(mode: "none"): void;
  destroy(): void;
}

export type ChartConstructor = new (canvas: HTMLCanvasElement, configuration: object) => Chart;
