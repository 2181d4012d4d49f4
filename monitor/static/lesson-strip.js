// What is above the seats: counts, which are also the filters, and how far the class is.

import { address, setFilters } from "./address.js";
import { announce, button, el, setText } from "./dom.js";
import { makeSelect } from "./forms.js";
import { t } from "./i18n.js";
import { SEAT_STATES, isPresent } from "./seat-states.js";
import { shape } from "./shapes.js";

/** @import { Lesson } from "./lesson.js" */
/** @import { Seat } from "./seat.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { SeatState } from "./types.d.ts" */

const STATE = "state"; // filters in the address
const ERRORS = "errors";

export class LessonStrip {
  #store;
  #lesson;
  #changed;
  #present = el("span", { className: "present" });
  /** @type {Map<SeatState, { button: HTMLButtonElement, text: HTMLElement }>} */
  #states = new Map();
  #errors = button("", () => this.#choose(ERRORS, ""));
  #all = button(t("show_all"), () => this.#choose(STATE, ""));
  #assignment = makeSelect([], { ariaLabel: t("assignment") });
  #meter = el("progress", { max: 1, value: 0, ariaLabel: t("progress") });
  #through = el("span");
  #state = ""; // the filters of the address: a state,
  /** @type {number[]} */
  #ids = []; // and students with an error
  #said = ""; // the filters of which it was said how many they show
  element;

  /**
   * @param {ClassStore} store
   * @param {Lesson} lesson
   * @param {() => void} changed the filters
   */
  constructor(store, lesson, changed) {
    this.#store = store;
    this.#lesson = lesson;
    this.#changed = changed;
    this.#errors.className = "filter";
    this.#all.className = "quiet";
    this.#assignment.oninput = () => lesson.choose(Number(this.#assignment.value));
    this.element = el(
      "div",
      { className: "lesson-strip" },
      el(
        "div",
        { className: "filters", role: "group", ariaLabel: t("show") },
        this.#present,
        SEAT_STATES.map((state) => this.#chip(state)),
        this.#errors,
        this.#all,
      ),
      el("div", { className: "how-far" }, this.#assignment, this.#meter, this.#through),
    );
    this.showFilters();
    this.showAssignments();
  }

  /** @param {SeatState} state */
  #chip(state) {
    const text = el("span");
    const chip = el("button", { type: "button", className: "filter" }, shape(state), text);
    chip.onclick = () => this.#choose(STATE, this.#state === state ? "" : state);
    this.#states.set(state, { button: chip, text });
    return chip;
  }

  /**
   * Whether the seat is one of those to show.
   *
   * @param {Seat} seat
   */
  matches(seat) {
    const ids = this.#ids;
    if (ids.length) return ids.includes(seat.student?.student_id ?? 0);
    return !this.#state || seat.state === this.#state;
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  #choose(name, value) {
    setFilters({ [STATE]: "", [ERRORS]: "", [name]: value });
    this.showFilters();
    this.#changed();
  }

  showFilters() {
    const { filters } = address();
    this.#state = filters.get(STATE) ?? "";
    this.#ids = filters.get(ERRORS)?.split(",").map(Number) ?? [];
    for (const [state, chip] of this.#states)
      chip.button.ariaPressed = String(state === this.#state);
    const ids = this.#ids;
    this.#errors.hidden = !ids.length;
    this.#errors.ariaPressed = "true";
    setText(this.#errors, t("of_error", ids.length));
    this.#all.hidden = !this.#state && !ids.length;
  }

  /** @param {Seat[]} seats */
  showCounts(seats) {
    const students = [...this.#store.students.values()];
    setText(this.#present, t("present", students.filter(isPresent).length, students.length));
    for (const [state, { text, button: chip }] of this.#states) {
      const count = seats.filter((seat) => seat.state === state).length;
      setText(text, String(count));
      const label = `${t(`seat_${state}`)} ${count}`;
      if (chip.ariaLabel !== label) chip.ariaLabel = chip.title = label;
      chip.classList.toggle("is-none", !count);
    }
    if (seats.length) this.#sayShown(seats);
  }

  // Who sees the others dimmed needs no words for it, a screen reader does.
  /** @param {Seat[]} seats */
  #sayShown(seats) {
    const filters = [this.#state, ...this.#ids].join(" ").trim();
    if (filters === this.#said) return;
    this.#said = filters;
    announce(t("seats_shown", seats.filter((seat) => this.matches(seat)).length));
  }

  showAssignments() {
    const { assignments, assignment } = this.#lesson;
    const options = assignments.map(({ id, title }) =>
      el("option", { value: id, textContent: title, selected: id === assignment?.id }),
    );
    const none = el("option", { value: 0, textContent: t("no_assignment") });
    this.#assignment.replaceChildren(...(options.length ? options : [none]));
    this.#assignment.disabled = !options.length;
  }

  showProgress() {
    const { progress, assignment } = this.#lesson;
    if (assignment) this.#assignment.value = String(assignment.id);
    const cells = progress?.cells ?? 0;
    const total = this.#store.students.size;
    const done = progress?.students.filter((each) => this.#lesson.isThrough(each)) ?? [];
    const handedIn = progress?.students.filter((each) => each.handed_in).length ?? 0;
    const sum = progress?.students.reduce((all, each) => all + each.succeeded, 0) ?? 0;
    this.#meter.hidden = !cells;
    this.#meter.value = cells && total ? Math.min(1, sum / cells / total) : 0;
    const through = cells ? t("through", cells, done.length, total) : "";
    const text = [through, handedIn ? t("handed_in", handedIn) : ""].filter(Boolean).join(" · ");
    setText(this.#through, text);
  }
}
