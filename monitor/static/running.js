// Which cell a student runs, and since when.

import { serverNow } from "./clock.js";
import { t } from "./i18n.js";

/** @import { ExecutionUpdate, Run, Student, StudentNow } from "./types.d.ts" */

const SHOWN_AFTER = 5_000; // ms: shorter runs are over before they are read
const UNRELATED = new Set(["help", "help_stop"]); // events that say nothing of a run

/**
 * @param {StudentNow} student
 * @returns {Run | null}
 */
export function toRun({ running_since: since, running_cell_id: cellId }) {
  return since === null ? null : { since: Date.parse(since), cellId };
}

/**
 * Follows a live message; returns whether only the server knows if the cell still runs.
 *
 * @param {Student} student
 * @param {ExecutionUpdate} data
 * @param {number} at ms: when it happened
 * @param {boolean} isLate whether something later is known already
 */
export function followRun(student, data, at, isLate) {
  const { run } = student;
  if (data.status === "running") {
    if (isLate) return true;
    student.run = { since: at, cellId: data.cellId };
    return false;
  }
  if (!run || at < run.since || data.status === "rendered" || UNRELATED.has(data.eventType))
    return false;
  const isSuccess = data.status === "success";
  if (data.cellId === run.cellId && (isSuccess || data.status === "error")) student.run = null;
  else return !isSuccess || run.cellId === null;
  return false;
}

/**
 * What a tile says of the cell that runs; nothing of a short run.
 *
 * @param {Student} student
 * @param {boolean} isSilent whether nothing was heard for so long that it may have ended unseen
 * @param {number} now ms
 */
export function runText({ run }, isSilent, now = serverNow()) {
  if (!run || now - run.since < SHOWN_AFTER) return "";
  return t(isSilent ? "running_silent" : "running", lasted(now - run.since));
}

/** @param {number} ms */
function lasted(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return t("for_seconds", seconds);
  if (seconds < 3600) return t("for_minutes", Math.floor(seconds / 60));
  return t("for_hours", Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60));
}
