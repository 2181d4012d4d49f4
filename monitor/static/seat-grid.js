// The room: every seat in its place. Nothing moves by itself; one tab stop, arrows inside.

import { stepOf } from "./arrow-keys.js";
import { arrange, el } from "./dom.js";
import { t } from "./i18n.js";
import { ranksOf } from "./queue.js";
import { lineOf, linesOf, planOf, trackOf, tracksOf } from "./seat-plan.js";
import { seatState } from "./seat-states.js";
import { Seat } from "./seat.js";

/** @import { Lesson } from "./lesson.js" */
/** @import { Place, Plan } from "./seat-plan.js" */
/** @import { ClassStore } from "./store.js" */

const TURNED_KEY = "from_desk"; // in the browser's storage
const DIMMED = "is-dimmed";
const WORDS = { width: 6, height: 4.1 }; // rem that a seat needs for a word about each state
const LOW = 3.2; // rem of a seat that has space for two lines only
const NARROW = 5; // rem of one whose lines have no space for the progress beside the state

export class SeatGrid {
  #store;
  #lesson;
  #grid = el("div", { className: "seats", role: "grid", ariaLabel: t("seats") });
  element = el("div", { className: "room" }, this.#grid);
  /** @type {Plan | null} */
  #plan = null;
  #planned = ""; // what the grid was built of
  /** @type {Map<number, Seat>} */
  #seats = new Map(); // by student_id
  /** @type {(seat: Seat) => boolean} */
  #filter = () => true;
  #address = ""; // whose filters the seats' links have
  #current = 0; // the student whose seat has the tab stop
  #chosen = 0; // the student who is shown beside the seats

  /**
   * @param {ClassStore} store
   * @param {Lesson} lesson
   */
  constructor(store, lesson) {
    this.#store = store;
    this.#lesson = lesson;
    this.#grid.addEventListener("keydown", (event) => this.#move(event));
    this.#grid.addEventListener("focusin", ({ target }) => this.#reach(target));
    new ResizeObserver(() => this.#measure()).observe(this.#grid);
  }

  // What fits on a seat. As a query of the style sheet it would be answered for each seat at each change.
  #measure() {
    const seat = this.#grid.querySelector(".seat");
    if (!seat) return;
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    const [width, height] = [seat.clientWidth / rem, seat.clientHeight / rem];
    this.#grid.classList.toggle("has-words", width >= WORDS.width && height >= WORDS.height);
    this.#grid.classList.toggle("is-low", height <= LOW);
    this.#grid.classList.toggle("is-narrow", width < NARROW);
    this.#cutNames();
  }

  #cutNames() {
    const long = this.seats.map((each) => each.isLong); // all are looked at before one is changed
    this.seats.forEach((each, index) => each.cut(long[index]));
  }

  get seats() {
    return [...this.#seats.values()];
  }

  /** Whether the room is seen from the teacher's desk; kept in the browser. */
  get isTurned() {
    return this.isRoom && localStorage.getItem(TURNED_KEY) === "1";
  }

  get isRoom() {
    return Boolean(this.#plan?.isRoom);
  }

  turn() {
    localStorage.setItem(TURNED_KEY, this.isTurned ? "" : "1");
    this.#build();
  }

  /** @param {(seat: Seat) => boolean} filter those of whom it is false are dimmed */
  filter(filter) {
    this.#filter = filter;
    for (const seat of this.#seats.values()) this.#dim(seat);
    if (this.#address !== location.hash) for (const seat of this.#seats.values()) seat.keepFilters();
    this.#address = location.hash;
    this.#stopAtShown();
  }

  // Tab leads to a seat that the filter shows, if there is one.
  #stopAtShown() {
    const stop = this.#seats.get(this.#current);
    if (!stop || this.#filter(stop) || stop.link === document.activeElement) return;
    const shown = this.seats.find((seat) => this.#filter(seat));
    if (shown) this.#reach(shown.link);
  }

  /** @param {number} studentId 0: nobody */
  choose(studentId) {
    const before = this.#seats.get(this.#chosen)?.link;
    before?.removeAttribute("aria-current");
    this.#chosen = studentId;
    const link = this.#seats.get(studentId)?.link;
    link?.setAttribute("aria-current", "true");
    if (link) this.#reach(link);
  }

  /** Gives the focus to the student's seat, or to the first. */
  focus(studentId = this.#current) {
    const seat = this.#seats.get(studentId) ?? this.seats.at(0);
    seat?.link.focus({ preventScroll: true });
  }

  /** The class or the room has changed. */
  load() {
    const plan = planOf([...this.#store.students.values()], this.#lesson.room, this.#plan);
    const { places, ...room } = plan;
    const planned = JSON.stringify([room, [...places]]);
    if (planned !== this.#planned) {
      this.#planned = planned;
      this.#plan = plan;
      this.#build();
    }
    this.update(this.#store.students.keys());
  }

  /** @param {Iterable<string>} userIds */
  update(userIds) {
    const ranks = ranksOf(this.#store);
    let isRenamed = false;
    for (const userId of userIds) {
      const student = this.#store.students.get(userId);
      const seat = student && this.#seats.get(student.student_id);
      if (!seat) continue;
      const progress = this.#lesson.progressOf(student.student_id);
      const request = this.#store.help.get(userId);
      const isOther = seat.show(student, {
        state: seatState(this.#store, this.#lesson, student),
        progress,
        cells: this.#lesson.progress?.cells ?? 0,
        request,
        isOfOthers: Boolean(request && this.#store.duties.isOfOthers(request)),
        rank: ranks.get(userId) ?? 0,
      });
      isRenamed ||= isOther;
      this.#dim(seat);
    }
    if (isRenamed) this.#cutNames();
  }

  /** Shows that time has passed. */
  age() {
    const changed = [];
    for (const seat of this.#seats.values()) {
      const { student } = seat;
      if (!student) continue;
      if (seatState(this.#store, this.#lesson, student) !== seat.state) changed.push(student.user_id);
      else seat.age();
    }
    if (changed.length) this.update(changed);
  }

  /** @param {Seat} seat */
  #dim(seat) {
    seat.element.classList.toggle(DIMMED, !this.#filter(seat));
  }

  #build() {
    if (!this.#plan) return;
    const hadFocus = this.#grid.contains(document.activeElement);
    this.#grid.classList.toggle("is-room", this.#plan.isRoom);
    this.#grid.style.setProperty("--columns", String(this.#plan.columns));
    this.#grid.style.setProperty("--tracks", tracksOf(this.#plan, this.isTurned));
    this.#grid.style.setProperty("--lines", linesOf(this.#plan, this.isTurned));
    const ids = new Set(this.#plan.places.keys());
    for (const id of this.#seats.keys()) if (!ids.has(id)) this.#seats.delete(id);
    arrange(this.#grid, this.#rowElements(this.#plan));
    this.#measure();
    if (!this.#seats.has(this.#current)) this.#current = 0;
    const stop = this.#seats.get(this.#current) ?? this.seats.at(0);
    if (stop) this.#reach(stop.link);
    this.choose(this.#chosen);
    if (hadFocus) stop?.link.focus({ preventScroll: true }); // it was moved, and lost the focus
  }

  /** @param {Plan} plan */
  #rowElements(plan) {
    /** @type {Map<string, number>} */
    const taken = new Map();
    for (const [id, { row, column }] of plan.places) taken.set(`${row} ${column}`, id);
    const rowElement = (/** @type {number} */ row) => {
      const cells = Array.from({ length: plan.columns }, (_, index) => {
        const place = { row, column: index + 1 };
        return this.#cell(plan, place, taken.get(`${row} ${place.column}`));
      });
      const isExtra = plan.isRoom && row > plan.rows;
      return el("div", { role: "row", className: isExtra ? "seat-row is-extra" : "seat-row" }, cells);
    };
    const room = Array.from({ length: plan.rows }, (_, index) => rowElement(index + 1));
    const extra = Array.from({ length: plan.extra }, (_, index) => rowElement(plan.rows + index + 1));
    if (!plan.isRoom) return extra;
    const desk = fullRow("gridcell", "desk", this.isTurned ? plan.rows + 1 : 1);
    const front = this.isTurned ? [...room.toReversed(), desk] : [desk, ...room];
    if (!plan.extra) return front;
    return [...front, fullRow("rowheader", "no_seat", plan.rows + 2), ...extra];
  }

  /**
   * @param {Plan} plan
   * @param {Place} place
   * @param {number | undefined} id of a student
   */
  #cell(plan, place, id) {
    const element = id === undefined ? freePlace(plan, place) : this.#seatOf(id, place, plan).element;
    const isTurned = this.isTurned && place.row <= plan.rows;
    // Those without a seat stand from left to right, from wherever the room is seen.
    const column = this.isTurned && !isTurned ? plan.columns + 1 - place.column : place.column;
    const line = lineOf(plan, place.row, this.isTurned);
    element.style.gridArea = `${line} / ${trackOf(plan, column, this.isTurned)}`;
    return element;
  }

  /**
   * @param {number} id of a student
   * @param {Place} place
   * @param {Plan} plan
   */
  #seatOf(id, place, { rows, isRoom }) {
    const seat = this.#seats.get(id) ?? new Seat(this.#store, id);
    this.#seats.set(id, seat);
    seat.put(place, isRoom && place.row <= rows);
    return seat;
  }

  /** @param {EventTarget | null} target that has the focus */
  #reach(target) {
    if (!(target instanceof HTMLElement)) return;
    for (const [id, seat] of this.#seats) {
      const isIt = seat.link === target;
      seat.link.tabIndex = isIt ? 0 : -1;
      if (isIt) this.#current = id;
    }
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const step = stepOf(event);
    if (!step) return;
    const { activeElement: active } = document;
    const from = active?.closest(".seat");
    if (!(from instanceof HTMLElement)) return;
    event.preventDefault();
    this.#next(from, step)?.focus();
  }

  // The nearest seat that somebody has, in this direction on the screen, of those that the filter shows.
  /**
   * @param {HTMLElement} from
   * @param {[number, number]} step rows and columns
   */
  #next(from, [down, right]) {
    const here = positionOf(from);
    let best = null;
    let least = Infinity;
    for (const { element, link } of this.#seats.values()) {
      if (element.classList.contains(DIMMED)) continue;
      const there = positionOf(element);
      const along = down ? (there.row - here.row) * down : (there.column - here.column) * right;
      const aside = Math.abs(down ? there.column - here.column : there.row - here.row);
      const distance = along + 100 * aside;
      if (along > 0 && distance < least) [best, least] = [link, distance];
    }
    return best;
  }
}

/**
 * @param {Plan} plan
 * @param {Place} place
 */
function freePlace({ rows }, { row }) {
  const isSeat = row <= rows;
  return el("div", { role: "gridcell", className: isSeat ? "seat is-free" : "seat is-nothing" });
}

/**
 * A row with one thing in it, such as the desk.
 *
 * @param {"gridcell" | "rowheader"} role
 * @param {"desk" | "no_seat"} text and its class
 * @param {number} line of the CSS grid
 */
function fullRow(role, text, line) {
  const cell = el("div", { role, className: `is-full ${text}`, textContent: t(text) });
  cell.style.gridArea = `${line} / 1 / auto / -1`;
  return el("div", { role: "row", className: "seat-row" }, cell);
}

/** @param {HTMLElement} element */
function positionOf({ style }) {
  return { row: Number(style.gridRowStart), column: Number(style.gridColumnStart) };
}
