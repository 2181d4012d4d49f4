// What a class may see of its lesson: seats by number, and how far they are. No name, code or call.

import { arrange, el, setText } from "./dom.js";
import { t } from "./i18n.js";
import { PROJECTED_CHANGED, isProjected, setProjected } from "./projected.js";
import { projectorScreen } from "./projector-screen.js";
import { byNumber, planOf, seatName, trackOf, tracksOf } from "./seat-plan.js";

/** @import { Lesson } from "./lesson.js" */
/** @import { Plan } from "./seat-plan.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Student } from "./types.d.ts" */

export class Projector {
  #store;
  #lesson;
  #meter = el("progress", { max: 1, value: 0, ariaLabel: t("progress") });
  #line = el("p", { className: "projector-line" });
  #seats = el("div", { className: "seats" });
  /** @type {Map<number, { element: HTMLElement, name: HTMLElement, bar: HTMLElement }>} */
  #cells = new Map(); // by student_id

  /**
   * @param {ClassStore} store
   * @param {Lesson} lesson
   * @param {AbortSignal} signal
   */
  constructor(store, lesson, signal) {
    this.#store = store;
    this.#lesson = lesson;
    const desk = el("p", { className: "desk", textContent: t("desk") });
    const howFar = el("div", { className: "line" }, this.#meter, this.#line);
    projectorScreen.display([howFar, el("div", { className: "room" }, desk, this.#seats)], signal);
    store.on(["loaded"], () => this.#draw(), signal);
    lesson.on(["room", "progress"], () => this.#draw(), signal);
    addEventListener(PROJECTED_CHANGED, () => this.#draw(), { signal });
    this.#draw();
  }

  show() {
    setProjected(true);
  }

  // A class that is not projected has no second room in the page's memory.
  #draw() {
    if (!isProjected()) {
      this.#cells.clear();
      this.#seats.replaceChildren();
      return;
    }
    const { progress, assignment, room } = this.#lesson;
    const students = [...this.#store.students.values()].sort(byNumber);
    const cells = progress?.cells ?? 0;
    const done = progress?.students.filter((each) => cells && each.succeeded >= cells).length ?? 0;
    const sum = progress?.students.reduce((all, each) => all + each.succeeded, 0) ?? 0;
    projectorScreen.entitle(assignment?.title ?? this.#store.current.name);
    const line = cells ? t("projector_line", cells, done, students.length) : t("projector_empty");
    setText(this.#line, line);
    this.#meter.hidden = !cells;
    this.#meter.value = cells && students.length ? Math.min(1, sum / cells / students.length) : 0;
    const plan = planOf(students, room);
    this.#seats.style.gridTemplateColumns = tracksOf(plan);
    const names = namesOf(students, plan);
    arrange(
      this.#seats,
      students.map(({ student_id: id }) => this.#cell(id, names.get(id) ?? "", cells, plan)),
    );
  }

  /**
   * @param {number} id of a student
   * @param {string} name
   * @param {number} cells
   * @param {Plan} plan
   */
  #cell(id, name, cells, plan) {
    const cell = this.#cells.get(id) ?? newCell();
    this.#cells.set(id, cell);
    setText(cell.name, name);
    const succeeded = this.#lesson.progressOf(id)?.succeeded ?? 0;
    cell.bar.style.inlineSize = cells ? `${Math.min(100, (100 * succeeded) / cells)}%` : "0";
    cell.element.classList.toggle("is-done", cells > 0 && succeeded >= cells);
    const place = plan.places.get(id);
    if (place) {
      cell.element.style.gridColumn = String(trackOf(plan, place.column));
      cell.element.style.gridRow = String(place.row);
    }
    return cell.element;
  }
}

/**
 * What each is called, by student_id: by number, by seat, or by a number after the largest.
 *
 * @param {Student[]} students by number
 * @param {Plan} plan
 */
function namesOf(students, { places, isRoom, rows }) {
  let last = Math.max(0, ...students.map(({ number }) => number ?? 0));
  /** @type {Map<number, string>} */
  const names = new Map();
  for (const { student_id: id, number } of students) {
    const place = places.get(id);
    const isSeat = isRoom && place && place.row <= rows;
    if (number === null && !isSeat) last += 1;
    names.set(id, String(number ?? (isSeat ? seatName(place) : last)));
  }
  return names;
}

function newCell() {
  const name = el("strong");
  const bar = el("span", { className: "bar-done" });
  return { name, bar, element: el("div", { className: "seat" }, name, bar) };
}
