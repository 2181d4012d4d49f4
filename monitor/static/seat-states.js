// What a seat says of its student: whether they can go on.

import { serverNow } from "./clock.js";
import { t } from "./i18n.js";

/** @import { ClassStore } from "./store.js" */
/** @import { SeatState, Student, StudentProgress } from "./types.d.ts" */

/** @type {SeatState[]} */
export const SEAT_STATES = [
  "help",
  "stuck",
  "error",
  "active",
  "reading",
  "finished",
  "idle",
  "absent",
];

export const READING_MINUTES = 2; // without a run
export const ABSENT_HOURS = 3; // without an event: of an earlier lesson

/**
 * @param {ClassStore} store
 * @param {Student} student
 * @param {StudentProgress | undefined} progress in the assignment that is shown
 * @returns {SeatState}
 */
export function seatState(store, student, progress) {
  const state = store.state(student);
  if (state === "help") return "help";
  if (!isPresent(student)) return "absent";
  if (state === "idle") return progress?.handed_in ? "finished" : "idle";
  if (state !== "active") return state;
  if (progress?.handed_in) return "finished";
  const isQuiet = serverNow() - student.ran > READING_MINUTES * 60_000;
  return isQuiet && !student.run ? "reading" : "active";
}

/**
 * @param {SeatState} state
 * @param {boolean} isTaken whether a teacher is with them
 */
export function stateWord(state, isTaken) {
  return t(state === "help" && isTaken ? "seat_taken" : `seat_${state}`);
}

/** @param {Student} student */
export function isPresent({ heard }) {
  return heard > 0 && serverNow() - heard < ABSENT_HOURS * 3_600_000;
}
