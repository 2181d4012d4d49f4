// A student's seat: who sits there, and whether they can go on.

import { withFilters } from "./address.js";
import { serverNow } from "./clock.js";
import { el, joinFacts, setText } from "./dom.js";
import { duration, t } from "./i18n.js";
import { circled } from "./queue.js";
import { seatName } from "./seat-plan.js";
import { stateWord } from "./seat-states.js";
import { shape, showShape } from "./shapes.js";

/** @import { Place } from "./seat-plan.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { HelpRequest, SeatState, Student, StudentProgress } from "./types.d.ts" */

const MINUTE = 60_000; // ms

/**
 * @typedef {object} Shown
 * @property {SeatState} state
 * @property {StudentProgress | undefined} progress
 * @property {number} cells of the assignment
 * @property {HelpRequest | undefined} request
 * @property {boolean} isOfOthers whether the call is for another teacher first
 * @property {number} rank of the call in the queue, from 1; 0: none, or it is taken
 */

export class Seat {
  #shape = shape();
  #name = el("strong");
  #what = el("span", { className: "what" });
  #done = el("span", { className: "done" });
  #bar = el("span", { className: "bar-done" });
  /** @type {Student | undefined} */
  student;
  /** @type {SeatState} */
  state = "absent";
  /** @type {HelpRequest | undefined} */
  #request;
  #rank = 0;
  #word = ""; // about the state
  #place = ""; // the seat's name
  #href;
  #isRoom = false;

  /**
   * @param {ClassStore} store
   * @param {number} studentId
   */
  constructor(store, studentId) {
    this.#href = store.hrefOf(studentId);
    const parts = [this.#shape, this.#name, this.#what, this.#done, this.#bar];
    this.link = el("a", { tabIndex: -1 }, parts);
    this.element = el("div", { role: "gridcell", className: "seat" }, this.link);
    this.keepFilters();
  }

  /** Leads to the student with the filters of now, also in another tab. */
  keepFilters() {
    const href = withFilters(this.#href);
    if (this.link.getAttribute("href") !== href) this.link.href = href;
  }

  /**
   * @param {Place} place
   * @param {boolean} isRoom whether the place has a name
   */
  put(place, isRoom) {
    this.#place = seatName(place);
    this.#isRoom = isRoom;
  }

  /** Whether the name is too long for the seat. */
  get isLong() {
    return this.#name.scrollWidth > this.#name.clientWidth;
  }

  /** @param {boolean} isCut whether the name ends in dots: a box that cuts costs memory at each picture */
  cut(isCut) {
    this.#name.classList.toggle("is-cut", isCut);
  }

  /**
   * Returns whether the name is another one.
   *
   * @param {Student} student
   * @param {Shown} shown
   */
  show(student, { state, progress, cells, request, isOfOthers, rank }) {
    this.student = student;
    this.state = state;
    this.#request = request;
    this.#rank = rank;
    this.#word = stateWord(state, Boolean(request?.taken_by), progress);
    const name = student.name ?? student.user_id;
    const isTaken = Boolean(request?.taken_by);
    this.element.dataset.state = state;
    this.element.classList.toggle("is-taken", isTaken);
    this.element.classList.toggle("is-of-others", isOfOthers && !isTaken);
    showShape(this.#shape, state);
    const isRenamed = this.#name.textContent !== name;
    setText(this.#name, name);
    const number = student.number === null ? "" : String(student.number);
    const title = joinFacts([name, student.kana, this.#isRoom && this.#place, number]);
    if (this.link.title !== title) this.link.title = title;
    const succeeded = progress?.succeeded ?? 0;
    const done = cells ? t("done_of", succeeded, cells) : "";
    setText(this.#done, done);
    const size = cells ? `${Math.round((100 * succeeded) / cells)}%` : "0px";
    if (this.#bar.style.inlineSize !== size) this.#bar.style.inlineSize = size;
    const place = this.#isRoom && this.#place;
    const call = rank > 0 && t("rank", rank);
    const whose = isOfOthers && !isTaken && t("others_part");
    this.#label(joinFacts([name, place, this.#word, call, whose, done]));
    this.age();
    return isRenamed;
  }

  // Screen readers hear it when the seat has the focus, so no seconds run in it.
  /** @param {string} text */
  #label(text) {
    if (this.link.ariaLabel !== text) this.link.ariaLabel = text;
  }

  /** Shows that time has passed. */
  age() {
    setText(this.#what, this.#since(serverNow()));
  }

  /** @param {number} now ms */
  #since(now) {
    const { student } = this;
    if (!student) return "";
    if (this.#request) {
      const waiting = duration(now - Date.parse(this.#request.asked_at));
      return this.#rank ? `${circled(this.#rank)} ${waiting}` : t("seat_taken");
    }
    if (this.state === "stuck") return stuckText(student, now);
    if (this.state === "idle") return minutes(now - student.heard);
    return this.#word;
  }
}

/**
 * @param {Student} student
 * @param {number} now ms
 */
function stuckText({ errors_in_a_row: errors, failing }, now) {
  const isLong = failing > 0 && now - failing >= MINUTE;
  return joinFacts([t("times", errors), isLong && minutes(now - failing)]);
}

/** @param {number} ms */
function minutes(ms) {
  return t("for_min", Math.max(0, Math.floor(ms / MINUTE)));
}

