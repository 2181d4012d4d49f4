// The open calls for help of a class, as live messages change them.

import { all } from "./api.js";
import { serverNow } from "./clock.js";
import { HELP_SECONDS } from "./config.js";

/** @import { HelpChange, HelpRequest, HelpRequestAnswer, Student, StudentNow } from "./types.d.ts" */

const SOON = 100; // ms until the queue is fetched to know what a heartbeat means
const CONFIRM = 500; // ms until it is fetched for a call that is shown already
const LATER = 5_000; // ms until it is asked whether a heartbeat of a settled call begins a new one
const MAX_PAUSE = 60_000; // ms between two such questions, which become rarer
const NEW_AFTER = 180_000; // ms without a heartbeat, after which the next one begins a new call
const MAX_LAG = 10_000; // ms that the queue, read from a standby, may be behind the messages

/**
 * What is known of a student's button.
 *
 * @typedef {object} Signs
 * @property {number} heard ms: the latest heartbeat; -Infinity: none since the button was switched off
 * @property {number} stopped ms: when it was switched off last
 * @property {{ pause: number, askAt: number } | null} silent ms; heartbeats go on without an open call, about
 *   which the server has been asked
 * @property {number} changed ms of performance.now(): when a message opened, ended or changed a call
 */

export class Calls {
  /** @type {Map<string, HelpRequest>} */
  open = new Map(); // by user_id
  /** @type {Map<string, Signs>} */
  #signs = new Map(); // by user_id

  /**
   * Takes in the students of the class, and until when the server has heard their buttons.
   *
   * @param {StudentNow[]} students
   */
  know(students) {
    const before = this.#signs;
    this.#signs = new Map();
    for (const { user_id: userId, called_at: calledAt } of students) {
      const signs = before.get(userId);
      if (signs) this.#signs.set(userId, signs);
      if (calledAt) this.#note(this.#of(userId), Date.parse(calledAt));
    }
  }

  /** @param {string} userId */
  #of(userId) {
    let signs = this.#signs.get(userId);
    if (!signs) {
      signs = { heard: -Infinity, stopped: -Infinity, silent: null, changed: -Infinity };
      this.#signs.set(userId, signs);
    }
    return signs;
  }

  /**
   * @param {Signs} signs
   * @param {number} at ms of a heartbeat
   */
  #note(signs, at) {
    if (at > signs.stopped) signs.heard = Math.max(signs.heard, at);
  }

  /**
   * Notes a heartbeat. The first one in three minutes opens a call at once, for it begins one whatever was
   * answered before. Returns in how many ms the queue has to be fetched to know more, or null.
   *
   * @param {Student} student
   * @param {number} at ms
   */
  hear(student, at) {
    const now = serverNow();
    const { user_id: userId } = student;
    const signs = this.#of(userId);
    const isNew = at - signs.heard > NEW_AFTER;
    this.#note(signs, at);
    if (now - at > 1000 * HELP_SECONDS || at <= signs.stopped) return null; // the server ignores it too
    const request = this.open.get(userId);
    if (request) {
      request.heard = now;
      return null;
    }
    if (!isNew) return askAgain(signs, now);
    signs.silent = null;
    signs.changed = performance.now();
    this.open.set(userId, beginning(student, at));
    return CONFIRM;
  }

  /**
   * A session of the student starts, whose first heartbeat may begin a new call.
   *
   * @param {string} userId
   */
  startSession(userId) {
    const { silent } = this.#of(userId);
    if (silent) Object.assign(silent, { pause: LATER, askAt: serverNow() });
  }

  /**
   * @param {string} userId
   * @param {number} at ms
   */
  stop(userId, at) {
    const signs = this.#of(userId);
    signs.stopped = Math.max(signs.stopped, at);
    if (at < signs.heard) return; // of an earlier call
    Object.assign(signs, { heard: -Infinity, silent: null, changed: performance.now() });
    this.open.delete(userId);
  }

  /**
   * Takes in what a teacher did; returns whether the queue has to be fetched to show it.
   *
   * @param {HelpChange} change
   */
  answer({ userId, status, takenBy, takenAt }) {
    const signs = this.#of(userId);
    signs.changed = performance.now();
    if (status === "resolved") {
      const now = serverNow();
      Object.assign(signs, { heard: now, silent: { pause: LATER, askAt: now } });
      this.open.delete(userId);
      return false;
    }
    signs.silent = null;
    const request = this.open.get(userId);
    Object.assign(request ?? {}, { taken_by: takenBy, taken_at: takenAt });
    return !request; // that it was settled has been undone
  }

  /**
   * Takes in the queue. What a message has changed since it was asked for stays, and so does a call that a
   * standby may not have yet.
   *
   * @param {HelpRequestAnswer[]} answers
   * @param {number} askedAt ms of performance.now()
   */
  set(answers, askedAt) {
    const before = this.open;
    const isLater = (/** @type {string} */ userId) => this.#of(userId).changed >= askedAt;
    this.open = new Map();
    for (const answer of answers) {
      const { user_id: userId } = answer;
      const heard = Date.parse(answer.repeated_at);
      this.#note(this.#of(userId), heard);
      if (isLater(userId)) continue;
      this.#of(userId).silent = null;
      this.open.set(userId, { ...answer, heard, confirmed: true });
    }
    for (const [userId, request] of before) {
      const isMissing = !request.confirmed && this.#of(userId).changed > performance.now() - MAX_LAG;
      if (isLater(userId) || (isMissing && !this.open.has(userId))) this.open.set(userId, request);
    }
  }

  /** Whether a call is shown that was not in the queue yet. */
  get isUnconfirmed() {
    return [...this.open.values()].some((request) => !request.confirmed);
  }

  /** Ends those without a sign for too long; returns the students' user_ids. */
  expire() {
    const over = [...this.open.values()].filter(
      (request) => serverNow() - request.heard > 1000 * HELP_SECONDS,
    );
    for (const { user_id: userId } of over) this.open.delete(userId);
    return over.map((request) => request.user_id);
  }
}

/**
 * A heartbeat that opens no call: in how many ms the server has to be asked whether it belongs to one, or null.
 *
 * @param {Signs} signs
 * @param {number} now ms
 */
function askAgain(signs, now) {
  const { silent } = signs;
  if (!silent) {
    signs.silent = { pause: LATER, askAt: now + LATER };
    return SOON;
  }
  if (now < silent.askAt) return null;
  silent.pause = Math.min(2 * silent.pause, MAX_PAUSE);
  silent.askAt = now + silent.pause;
  return LATER;
}

/**
 * The call that this heartbeat begins, as far as the page knows it.
 *
 * @param {Student} student
 * @param {number} at ms
 * @returns {HelpRequest}
 */
function beginning(student, at) {
  const time = new Date(at).toISOString();
  return {
    student_id: student.student_id,
    user_id: student.user_id,
    name: student.name,
    team: student.team,
    asked_at: time,
    repeated_at: time,
    notebook_path: student.notebook_path,
    cell_id: student.cell_id,
    cell_position: student.cell_position,
    cell_title: student.cell_title,
    cell_heading: student.cell_heading,
    last_error: null,
    calls: 1,
    taken_by: null,
    taken_at: null,
    heard: serverNow(),
    confirmed: false,
  };
}

/**
 * The open calls of a class. Their students' calls are counted since midnight.
 *
 * @param {number} classId
 * @returns {Promise<HelpRequestAnswer[]>}
 */
export function fetchCalls(classId) {
  const midnight = new Date(new Date(serverNow()).setHours(0, 0, 0, 0)).toISOString();
  return all(`classes/${classId}/help?since=${midnight}`);
}
