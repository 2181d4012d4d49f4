// The one order of a class's calls, for the teacher at this page: the list's, that of the next call, and the
// numbers on the seats.

import { teacherName } from "./teacher-name.js";

/** @import { ClassStore } from "./store.js" */
/** @import { HelpRequest } from "./types.d.ts" */

const MINE = 0; // ranks
const WAITING = 1;
const OF_OTHERS = 2;
const TAKEN = 3;

/**
 * @typedef {object} Queue
 * @property {HelpRequest[]} all one's own first, then the longest wait, those in other teachers' parts, and
 *   those whom somebody else is with
 * @property {HelpRequest[]} open which nobody has taken
 * @property {HelpRequest[]} waiting those of them that are not for another teacher first
 */

/**
 * @param {ClassStore} store
 * @returns {Queue}
 */
export function queueOf(store) {
  const ranked = [...store.help.values()].map((request) => ({ request, rank: rankOf(store, request) }));
  ranked.sort((a, b) => a.rank - b.rank || compare(a.request, b.request));
  /** @param {number[]} ranks */
  const of = (...ranks) =>
    ranked.filter(({ rank }) => ranks.includes(rank)).map(({ request }) => request);
  return {
    all: ranked.map(({ request }) => request),
    open: of(WAITING, OF_OTHERS),
    waiting: of(WAITING),
  };
}

/**
 * The place of each call in the queue, from 1, of those that nobody has taken.
 *
 * @param {ClassStore} store
 */
export function ranksOf(store) {
  const { open } = queueOf(store);
  return new Map(open.map(({ user_id: userId }, index) => [userId, index + 1]));
}

/**
 * The sign of a place in the queue: ① to ⑳, which have one of their own.
 *
 * @param {number} rank from 1
 */
export function circled(rank) {
  return rank <= 20 ? String.fromCharCode(0x245f + rank) : String(rank);
}

/**
 * Whether the teacher at this page has taken the call.
 *
 * @param {HelpRequest} request
 */
export function isMine({ taken_by: takenBy }) {
  return takenBy !== null && takenBy === teacherName();
}

/**
 * @param {ClassStore} store
 * @param {HelpRequest} request
 */
function rankOf(store, request) {
  if (isMine(request)) return MINE;
  if (request.taken_by) return TAKEN;
  return store.duties.isOfOthers(request) ? OF_OTHERS : WAITING;
}

/**
 * @param {HelpRequest} a
 * @param {HelpRequest} b
 */
function compare(a, b) {
  return Date.parse(a.asked_at) - Date.parse(b.asked_at) || a.student_id - b.student_id;
}
