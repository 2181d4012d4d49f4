// The states of a student, and how an event changes them.

import { serverNow } from "./clock.js";
import { STUCK_ERRORS } from "./config.js";

/** @import { Counts, ExecutionUpdate, Radar, State, Student, StudentNow } from "./types.d.ts" */

/** @type {State[]} */
export const STATES = ["help", "stuck", "error", "active", "idle"]; // most urgent first

const LAG = 10_000; // ms between what the server heard last and the time of that event, at most

/**
 * The server's state, and whether the student is stuck.
 *
 * @param {Exclude<State, "stuck">} state
 * @param {number} errorsInARow
 * @returns {State}
 */
export function withStuck(state, errorsInARow) {
  return state === "error" && errorsInARow >= STUCK_ERRORS ? "stuck" : state;
}

/**
 * @param {StudentNow} student
 * @returns {Student}
 */
export function toStudent(student) {
  const heard = student.last_heard_at ? Date.parse(student.last_heard_at) : 0;
  const { executions_in_no_class: executions, errors_in_no_class: errors } = student;
  const ofClass = counts(student.executions - executions, student.errors - errors);
  return { ...student, heard, latest: heard - LAG, ofClass, ofNone: counts(executions, errors) };
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
 * so after a run that is older than what is shown, for it may come before or after a success, and
 * after a name claimed in no class, for the class may have another.
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
    if (hasRun) student.errors_in_a_row = data.status === "error" ? student.errors_in_a_row + 1 : 0;
  }
  const hasNewName = rename(student, data, isOfClass);
  return (isLate && hasRun) || (hasNewName && !isOfClass);
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
  if (data.notebookPath) student.notebook_path = data.notebookPath;
  if (data.cellId) {
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
