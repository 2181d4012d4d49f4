// Several teachers in a class: who is here, and whose a call is. Kept beside the calls, not in a view:
// sound and title ask, too.

import { call, send } from "./api.js";
import { serverNow } from "./clock.js";
import { teacherName } from "./teacher-name.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Duties, Duty, HelpRequest, Student } from "./types.d.ts" */

const SIGN_INTERVAL = 30_000; // ms; the server takes a teacher for gone after three of them
const OVERDUE = 5 * 60_000; // ms; a call that has waited for so long is for all teachers

export class ClassDuties {
  /** @type {Duty[]} */
  teachers = []; // who are here
  ready = false; // whether the server has been asked
  #store;
  #changed;
  #timer;

  /**
   * @param {ClassStore} store
   * @param {() => void} changed
   */
  constructor(store, changed) {
    this.#store = store;
    this.#changed = changed;
    this.#timer = setInterval(() => this.sign(), SIGN_INTERVAL);
  }

  close() {
    clearInterval(this.#timer);
  }

  /** What the teacher at this page looks after; undefined until they have said who they are. */
  get mine() {
    return this.teachers.find(({ name }) => name === teacherName());
  }

  /** Says that the teacher is here; without a name only looks who is. */
  async sign() {
    try {
      await this.take({});
    } catch {
      this.ready = true;
      this.#changed(); // the next sign is given anyway
    }
  }

  /**
   * Takes on a part of the class from now on. Throws what the API answers.
   *
   * @param {Partial<Duty>} part
   */
  async take(part) {
    const path = `classes/${this.#store.id}/duties`;
    const name = teacherName();
    this.set(name ? await send("PUT", path, { name, ...part }) : await call(path));
  }

  /** @param {Duties} duties */
  set({ teachers }) {
    this.teachers = teachers;
    this.ready = true;
    this.#changed();
  }

  /**
   * Whether another teacher who is here looks after the student who calls. Nobody does where it is in no
   * part, and everybody does once it is overdue.
   *
   * @param {HelpRequest} request
   */
  isOfOthers({ user_id: userId, asked_at: askedAt }) {
    const student = this.#store.students.get(userId);
    if (!student || serverNow() - Date.parse(askedAt) > OVERDUE) return false;
    const theirs = this.teachers.filter((duty) => isIn(duty, student));
    return theirs.length > 0 && !theirs.some(({ name }) => name === teacherName());
  }
}

/**
 * @param {Duty} duty
 * @param {Student} student
 */
function isIn({ seat_rows: rows, teams }, { seat_row: row, team }) {
  return (row ? rows.includes(row) : false) || (team ? teams.includes(team) : false);
}
