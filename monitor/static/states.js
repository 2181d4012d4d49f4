// The states of a student, and how an event changes them.

import { serverNow } from "./clock.js";
import { IDLE_SECONDS, RUN_SECONDS } from "./config.js";
import { followRun, toRun } from "./running.js";

/** @import { Counts, ExecutionUpdate, Radar, State, StuckRule, Student, StudentNow } from "./types.d.ts" */

/** @type {State[]} */
export const STATES = ["help", "stuck", "error", "active", "idle"]; // most urgent first

const LESSON = 3 * 3_600_000; // ms without a run, after which earlier failures say nothing
const LAG = 10_000; // ms between what the server heard last and the time of that event, at most

/**
 * The server's state, and whether the student is stuck: after so many errors in a row, or at
 * one cell for so long without a success there.
 *
 * @param {Exclude<State, "stuck">} state
 * @param {Student} student
 * @param {StuckRule} rule
 * @param {number} [now] ms
 * @returns {State}
 */
export function withStuck(state, { errors_in_a_row: errors, failing }, rule, now = serverNow()) {
  if (state !== "error") return state;
  const isLong = failing > 0 && now - failing >= rule.stuck_minutes * 60_000;
  return isLong || errors >= rule.stuck_errors ? "stuck" : state;
}

/**
 * Whether nothing was heard for long; who runs a cell is idle only after longer.
 *
 * @param {Student} student
 */
export function isIdle(student) {
  const limit = 1000 * (student.run ? Math.max(IDLE_SECONDS, RUN_SECONDS) : IDLE_SECONDS);
  return !student.heard || serverNow() - student.heard > limit;
}

/**
 * @param {StudentNow} student
 * @param {Map<string, number>} [failures] what was known of the student's cells before
 * @returns {Student}
 */
export function toStudent(student, failures = new Map()) {
  const heard = time(student.last_heard_at);
  const { executions_in_no_class: executions, errors_in_no_class: errors } = student;
  const ofClass = counts(student.executions - executions, student.errors - errors);
  const ofNone = counts(executions, errors);
  const failing = time(student.failing_since);
  if (failing) failures.set(student.failing_cell_id ?? "", failing);
  const ran = time(student.last_run_at);
  const run = toRun(student);
  return { ...student, heard, latest: heard - LAG, failing, failures, ran, ofClass, ofNone, run };
}

/** @param {string | null} text */
function time(text) {
  return text === null ? 0 : Date.parse(text);
}

/**
 * @param {number} executions
 * @param {number} errors
 * @returns {Counts}
 */
function counts(executions, errors) {
  return { executions, errors, fetched: executions };
}

/**
 * Applies a live message; returns whether the student's state has to be fetched to know it. That is
 * so after a run that is older than what is shown, for it may come before or after a success, where
 * a cell may run no more, and after a name claimed in no class, for the class may have another.
 *
 * @param {Student} student
 * @param {ExecutionUpdate} data of the class, or of none
 * @param {number} at ms: when it happened
 */
export function update(student, data, at) {
  const isOfClass = data.classId !== null;
  const ofIts = isOfClass ? student.ofClass : student.ofNone;
  const hasRun = data.executions > ofIts.fetched && isRun(data.status);
  const isLate = at < student.latest;
  student.heard = serverNow();
  ofIts.executions = Math.max(ofIts.executions, data.executions);
  ofIts.errors = Math.max(ofIts.errors, data.errors);
  student.executions = student.ofClass.executions + student.ofNone.executions;
  student.errors = student.ofClass.errors + student.ofNone.errors;
  if (data.verified) student.verified = true;
  if (!isLate) {
    student.latest = at;
    move(student, data);
    if (hasRun) count(student, data, at);
  }
  const isDoubtful = followRun(student, data, at, isLate);
  const hasNewName = rename(student, data, isOfClass);
  return (isLate && hasRun) || isDoubtful || (hasNewName && !isOfClass);
}

// What is run elsewhere changes nothing of a cell, such as the imports above before each attempt.
/**
 * @param {Student} student
 * @param {ExecutionUpdate} data of their latest run
 * @param {number} at ms
 */
function count(student, { status, cellId }, at) {
  const { failures } = student;
  const cell = cellId ?? "";
  if (at - student.ran > LESSON) failures.clear();
  student.ran = at;
  if (status === "error") {
    student.failing = failures.get(cell) ?? at;
    failures.set(cell, student.failing);
    student.errors_in_a_row += 1;
  } else {
    failures.delete(cell);
    student.failing = 0;
    student.errors_in_a_row = 0;
  }
}

// A Markdown cell is `rendered`, a start `running`: neither is a run.
/** @param {string | null} status */
function isRun(status) {
  return status === "error" || status === "success";
}

/**
 * @param {Student} student
 * @param {ExecutionUpdate} data
 */
function move(student, data) {
  const { notebookPath: path } = data;
  if (path && path !== student.notebook_path)
    Object.assign(student, { notebook_path: path, notebook_id: null, cell_id: null });
  if (data.cellId) {
    if (data.cellId !== student.cell_id)
      Object.assign(student, { cell_title: null, cell_heading: null });
    student.cell_id = data.cellId;
    student.cell_position = data.cellIndex;
  }
}

/**
 * Returns whether the message has another name or team than the student; takes it where `isOfClass`.
 *
 * @param {Student} student
 * @param {ExecutionUpdate} data
 * @param {boolean} isOfClass
 */
function rename(student, { name = student.name, team = student.team }, isOfClass) {
  const isNew = name !== student.name || team !== student.team;
  if (isOfClass) Object.assign(student, { name, team });
  return isNew;
}

/**
 * Whether what happened may change who is still at an error.
 *
 * @param {ExecutionUpdate} data
 * @param {Radar | null} radar
 */
export function changesErrors({ status, userId }, radar) {
  if (status !== "success") return status === "error";
  return radar?.groups.some((group) => group.still.includes(userId)) ?? false;
}
