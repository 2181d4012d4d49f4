// The states of a student, and how an event changes them.

import { serverNow } from "./api.js";

/** @import { ExecutionUpdate, State, Student, StudentNow } from "./types.d.ts" */

/** @type {State[]} */
export const STATES = ["help", "stuck", "error", "active", "idle"]; // most urgent first
export const STUCK_ERRORS = 3; // in a row

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
  return { ...student, heard, counted: student.executions };
}

/**
 * Applies a live message.
 *
 * @param {Student} student
 * @param {ExecutionUpdate} data
 */
export function update(student, data) {
  student.heard = serverNow();
  if (data.verified) student.verified = true;
  if (data.name !== undefined) student.name = data.name;
  if (data.team !== undefined) student.team = data.team;
  student.executions = Math.max(student.executions, data.executions);
  student.errors = Math.max(student.errors, data.errors);
  if (data.executions > student.counted) {
    if (data.status === "error") student.errors_in_a_row += 1;
    else if (data.status === "success") student.errors_in_a_row = 0;
  }
  if (data.notebookPath) student.notebook_path = data.notebookPath;
  if (data.cellId) {
    student.cell_id = data.cellId;
    student.cell_position = data.cellIndex;
  }
}
