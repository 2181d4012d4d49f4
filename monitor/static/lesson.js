// What a lesson is about, beside what its students do: the room, and how far they are in an assignment.

import { all, call } from "./api.js";
import { Emitter } from "./emitter.js";
import { NO_ROOM } from "./seat-plan.js";
import { throttle } from "./throttle.js";
import { Timers } from "./timers.js";

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
  #timers = new Timers();
  #rooms = 0; // how many have been told of by messages
  #chosen = 0; // an assignment's id, 0: the one that most are at
  #ask;

  /**
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   */
  constructor(store, signal) {
    super();
    this.#store = store;
    this.#ask = throttle(() => this.#fetchProgress(), PROGRESS_PAUSE, signal);
    const take = (/** @type {Room} */ room) => {
      this.#rooms += 1;
      this.#sit(room);
    };
    store.on(["room"], take, signal);
    store.on(["loaded"], () => store.error || this.#load(), signal);
    store.on(["ran", "submission"], () => this.#ask(), signal);
    signal.addEventListener("abort", () => this.#timers.close());
    this.#load();
  }

  /** @param {number} studentId */
  progressOf(studentId) {
    return this.#of.get(studentId);
  }

  /**
   * Whether the student has succeeded in every cell that counts for the assignment shown.
   *
   * @param {StudentProgress | undefined} progress
   */
  isThrough(progress) {
    const cells = this.progress?.cells ?? 0;
    return cells > 0 && (progress?.succeeded ?? 0) >= cells;
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
    this.#show(null);
    this.#fetchProgress();
  }

  /** @param {Room} room */
  #sit(room) {
    this.room = room;
    this.emit("room", null);
  }

  async #load() {
    const rooms = this.#rooms;
    try {
      /** @type {[Room, Assignment[]]} */
      const [room, assignments] = await Promise.all([
        call(`classes/${this.#store.id}/room`),
        all(`assignments?class_id=${this.#store.id}`),
      ]);
      if (rooms === this.#rooms) this.#sit(room); // else a message has a later one
      if (JSON.stringify(assignments) !== JSON.stringify(this.assignments)) {
        this.assignments = assignments;
        this.emit("assignments", null);
      }
      this.#ask();
    } catch {
      // The class itself shows the failure.
      this.#timers.start("load", ROOM_RETRY, () => this.#load());
    }
  }

  async #fetchProgress() {
    const { assignment } = this;
    try {
      const progress = assignment ? await call(`assignments/${assignment.id}/progress`) : null;
      if (assignment?.id === this.assignment?.id) this.#show(progress);
      else this.#ask(); // another was chosen meanwhile
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
