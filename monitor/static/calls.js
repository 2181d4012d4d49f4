// The open calls for help of a class, as live messages change them.

import { all } from "./api.js";
import { serverNow } from "./clock.js";
import { HELP_SECONDS } from "./config.js";

/** @import { HelpChange, HelpRequest, HelpRequestAnswer } from "./types.d.ts" */

export class Calls {
  /** @type {Map<string, HelpRequest>} */
  open = new Map(); // by user_id, in the order of the queue
  /** @type {Set<string>} */
  #settled = new Set(); // students whose heartbeats may go on

  /**
   * Notes a heartbeat. The call that it belongs to is open, settled, unknown, or was over when the
   * heartbeat arrived.
   *
   * @param {string} userId
   * @param {number} at ms
   */
  hear(userId, at) {
    if (serverNow() - at > 1000 * HELP_SECONDS) return "over"; // the server ignores it too
    const request = this.open.get(userId);
    if (request) request.heard = serverNow();
    else return this.#settled.has(userId) ? "settled" : "unknown";
    return "open";
  }

  /**
   * @param {string} userId
   * @param {number} at ms
   */
  stop(userId, at) {
    const request = this.open.get(userId);
    if (request && at < Date.parse(request.repeated_at)) return; // of an earlier call
    this.#settled.delete(userId);
    this.open.delete(userId);
  }

  /**
   * Takes in what a teacher did; returns whether the queue has to be fetched to show it.
   *
   * @param {HelpChange} change
   */
  answer({ userId, status, takenBy, takenAt }) {
    if (status === "resolved") {
      this.#settled.add(userId);
      this.open.delete(userId);
      return false;
    }
    this.#settled.delete(userId);
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
      this.#settled.delete(answer.user_id);
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
