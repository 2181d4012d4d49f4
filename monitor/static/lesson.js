// What a lesson is about, beside what its students do: the room, and how far they are in an assignment.

import { all, call } from "./api.js";
import { Emitter } from "./emitter.js";
import { NO_ROOM } from "./seat-plan.js";
import { throttle } from "./throttle.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Assignment, AssignmentProgress, Room, StudentProgress } from "./types.d.ts" */

const PROGRESS_PAUSE = 5_000; // ms between two fetches of the progress
const ROOM_RETRY = 2_000; // ms

/**
 * @typedef {object} LessonEvents
 * @property {null} room there is another room, or it was fetched
 * @property {null} progress
 * @property {null} assignments the list was fetched
 */

/** @extends {Emitter<LessonEvents>} */
export class Lesson extends Emitter {
  /** @type {Room} */
  room = NO_ROOM;
  /** @type {Assignment[]} */
  assignments = [];
  /** @type {AssignmentProgress | null} */
  progress = null;
  /** @type {Map<number, StudentProgress>} */
  #of = new Map(); // by student_id
  #store;
  #signal;
  #chosen = 0; // an assignment's id, 0: the one that most are at
  #ask;

  /**
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   */
  constructor(store, signal) {
    super();
    this.#store = store;
    this.#signal = signal;
    this.#ask = throttle(() => this.#fetchProgress(), PROGRESS_PAUSE, signal);
    store.on(["room"], (room) => this.#sit(room), signal);
    store.on(["loaded"], () => this.#load(), signal);
    store.on(["ran", "submission"], () => this.#ask(), signal);
    this.#load();
  }

  /** @param {number} studentId */
  progressOf(studentId) {
    return this.#of.get(studentId);
  }

  /** The assignment whose progress is shown: the one that was chosen, or that most are at. */
  get assignment() {
    const chosen = this.assignments.find(({ id }) => id === this.#chosen);
    if (chosen) return chosen;
    /** @type {Map<number | null, number>} */
    const votes = new Map();
    for (const { notebook_id: id } of this.#store.students.values())
      votes.set(id, (votes.get(id) ?? 0) + 1);
    const newestFirst = this.assignments.toSorted((a, b) => b.id - a.id);
    const most = (/** @type {Assignment} */ each) => votes.get(each.notebook_id) ?? 0;
    return newestFirst.toSorted((a, b) => most(b) - most(a)).at(0);
  }

  /** @param {number} id of an assignment, 0: the one that most are at */
  choose(id) {
    this.#chosen = id;
    this.#ask();
  }

  /** @param {Room} room */
  #sit(room) {
    this.room = room;
    this.emit("room", null);
  }

  async #load() {
    try {
      /** @type {[Room, Assignment[]]} */
      const [room, assignments] = await Promise.all([
        call(`classes/${this.#store.id}/room`),
        all(`assignments?class_id=${this.#store.id}`),
      ]);
      this.assignments = assignments;
      this.#sit(room);
      this.emit("assignments", null);
      this.#ask();
    } catch {
      // The class itself shows the failure, and is fetched again.
      setTimeout(() => this.#signal.aborted || this.#load(), ROOM_RETRY);
    }
  }

  async #fetchProgress() {
    const { assignment } = this;
    try {
      this.#show(assignment ? await call(`assignments/${assignment.id}/progress`) : null);
    } catch {
      this.#ask(); // after the pause
    }
  }

  /** @param {AssignmentProgress | null} progress */
  #show(progress) {
    this.progress = progress;
    this.#of = new Map(progress?.students.map((each) => [each.student_id, each]));
    this.emit("progress", null);
  }
}
