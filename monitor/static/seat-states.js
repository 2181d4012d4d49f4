// What a seat says of its student: whether they can go on.

import { serverNow } from "./clock.js";
import { t } from "./i18n.js";

/** @import { Lesson } from "./lesson.js" */
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
 * @param {Lesson} lesson
 * @param {Student} student
 * @returns {SeatState}
 */
export function seatState(store, lesson, student) {
  const state = store.state(student);
  if (state === "help") return "help";
  if (!isPresent(student)) return "absent";
  const progress = lesson.progressOf(student.student_id);
  const isQuiet = serverNow() - student.ran > READING_MINUTES * 60_000 && !student.run;
  const isDone = progress?.handed_in || (isQuiet && lesson.isThrough(progress));
  if (isDone && (state === "idle" || state === "active")) return "finished";
  return state === "active" && isQuiet ? "reading" : state;
}

/**
 * @param {SeatState} state
 * @param {boolean} isTaken whether a teacher is with them
 * @param {StudentProgress | undefined} progress
 */
export function stateWord(state, isTaken, progress) {
  if (state === "help" && isTaken) return t("seat_taken");
  return t(state === "finished" && progress?.handed_in ? "seat_handed_in" : `seat_${state}`);
}

/** @param {Student} student */
export function isPresent({ heard }) {
  return heard > 0 && serverNow() - heard < ABSENT_HOURS * 3_600_000;
}
