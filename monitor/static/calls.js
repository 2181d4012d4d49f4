// The open calls for help of a class, as live messages change them.

import { all } from "./api.js";
import { serverNow } from "./clock.js";
import { HELP_SECONDS } from "./config.js";

/** @import { HelpChange, HelpRequest, HelpRequestAnswer } from "./types.d.ts" */

const SOON = 100; // ms until the queue is fetched for a call that is not known
const LATER = 5_000; // ms until it is asked whether a heartbeat of a settled call begins a new one
const MAX_PAUSE = 60_000; // ms between two such questions, which become rarer
const NEW_AFTER = 180_000; // ms without a heartbeat, after which the next one begins a new call

export class Calls {
  /** @type {Map<string, HelpRequest>} */
  open = new Map(); // by user_id, in the order of the queue
  /** @type {Map<string, { heard: number, pause: number, askAt: number }>} */
  #silent = new Map(); // students whose heartbeats may go on without an open call, by user_id; ms

  /**
   * Notes a heartbeat; returns in how many ms the queue has to be fetched to know what it means, or null.
   *
   * @param {string} userId
   * @param {number} at ms
   */
  hear(userId, at) {
    const now = serverNow();
    if (now - at > 1000 * HELP_SECONDS) return null; // the server ignores it too
    const request = this.open.get(userId);
    if (request) {
      request.heard = now;
      return null;
    }
    const silent = this.#silent.get(userId);
    if (!silent || at - silent.heard > NEW_AFTER) {
      this.#silence(userId, at, LATER);
      return SOON;
    }
    silent.heard = Math.max(silent.heard, at);
    if (now < silent.askAt) return null;
    silent.pause = Math.min(2 * silent.pause, MAX_PAUSE);
    silent.askAt = now + silent.pause;
    return LATER;
  }

  /**
   * A session of the student starts, whose first heartbeat may begin a new call.
   *
   * @param {string} userId
   */
  startSession(userId) {
    const silent = this.#silent.get(userId);
    if (silent) this.#silence(userId, silent.heard, 0);
  }

  /**
   * @param {string} userId
   * @param {number} heard ms
   * @param {number} pause ms until it may be asked again
   */
  #silence(userId, heard, pause) {
    this.#silent.set(userId, { heard, pause: LATER, askAt: serverNow() + pause });
  }

  /**
   * @param {string} userId
   * @param {number} at ms
   */
  stop(userId, at) {
    const request = this.open.get(userId);
    if (request && at < Date.parse(request.repeated_at)) return; // of an earlier call
    this.#silent.delete(userId);
    this.open.delete(userId);
  }

  /**
   * Takes in what a teacher did; returns whether the queue has to be fetched to show it.
   *
   * @param {HelpChange} change
   */
  answer({ userId, status, takenBy, takenAt }) {
    if (status === "resolved") {
      this.#silence(userId, serverNow(), 0);
      this.open.delete(userId);
      return false;
    }
    this.#silent.delete(userId);
    const request = this.open.get(userId);
    Object.assign(request ?? {}, { taken_by: takenBy, taken_at: takenAt });
    return !request; // that it was settled has been undone
  }

  /**
   * Returns those that were not open before.
   *
   * @param {HelpRequestAnswer[]} answers
   */
  set(answers) {
    const before = this.open;
    this.open = new Map();
    for (const answer of answers) {
      this.#silent.delete(answer.user_id);
      this.open.set(answer.user_id, { ...answer, heard: Date.parse(answer.repeated_at) });
    }
    return [...this.open.values()].filter((request) => !before.has(request.user_id));
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
 * The open calls of a class. Their students' calls are counted since midnight.
 *
 * @param {number} classId
 * @returns {Promise<HelpRequestAnswer[]>}
 */
export function fetchCalls(classId) {
  const midnight = new Date(new Date(serverNow()).setHours(0, 0, 0, 0)).toISOString();
  return all(`classes/${classId}/help?since=${midnight}`);
}
