// What a class may see: seats by number, how far they are, and what was announced. No name, code or
// call. It stays over reloads until somebody says that names may be shown.

import { askBefore } from "./dialog.js";
import { arrange, button, byId, el, setText } from "./dom.js";
import { t } from "./i18n.js";
import { byNumber, planOf, seatName, trackOf, tracksOf } from "./seat-plan.js";

/** @import { Lesson } from "./lesson.js" */
/** @import { Plan } from "./seat-plan.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Student } from "./types.d.ts" */

const PROJECTED_KEY = "projected"; // in the tab's storage

export function isProjected() {
  return sessionStorage.getItem(PROJECTED_KEY) === "1";
}

export class Projector {
  #store;
  #lesson;
  #title = el("h1");
  #meter = el("progress", { max: 1, value: 0, ariaLabel: t("progress") });
  #line = el("p", { className: "projector-line" });
  #notice = el("p", { className: "projector-notice", role: "status" });
  #seats = el("div", { className: "seats" });
  /** @type {Map<number, { element: HTMLElement, name: HTMLElement, bar: HTMLElement }>} */
  #cells = new Map(); // by student_id
  element;

  /**
   * @param {ClassStore} store
   * @param {Lesson} lesson
   * @param {AbortSignal} signal
   */
  constructor(store, lesson, signal) {
    this.#store = store;
    this.#lesson = lesson;
    const off = button(t("projector_off"), () => this.#leave());
    off.className = "quiet";
    this.element = el(
      "section",
      { className: "projector", ariaLabel: t("projector_on") },
      el("div", { className: "line" }, this.#title, off),
      this.#notice,
      el("div", { className: "line" }, this.#meter, this.#line),
      el("div", { className: "room" }, el("p", { className: "desk", textContent: t("desk") }), this.#seats),
    );
    store.on(["notice"], ({ message }) => setText(this.#notice, message), signal);
    store.on(["loaded"], () => this.#draw(), signal);
    lesson.on(["room", "progress"], () => this.#draw(), signal);
    signal.addEventListener("abort", () => this.#remove());
  }

  show() {
    sessionStorage.setItem(PROJECTED_KEY, "1");
    this.#draw();
    document.body.classList.add("is-projected");
    document.body.append(this.element);
  }

  // Not by a key: names never appear by accident.
  #leave() {
    const task = async () => {
      sessionStorage.removeItem(PROJECTED_KEY);
      this.#remove();
      byId("view").focus({ preventScroll: true });
    };
    askBefore({ question: t("projector_sure"), confirm: t("projector_off"), task });
  }

  #remove() {
    this.element.remove();
    if (!isProjected()) document.body.classList.remove("is-projected");
  }

  #draw() {
    const { progress, assignment, room } = this.#lesson;
    const students = [...this.#store.students.values()].sort(byNumber);
    const cells = progress?.cells ?? 0;
    const done = progress?.students.filter((each) => cells && each.succeeded >= cells).length ?? 0;
    const sum = progress?.students.reduce((all, each) => all + each.succeeded, 0) ?? 0;
    setText(this.#title, assignment?.title ?? this.#store.current.name);
    const line = cells ? t("projector_line", cells, done, students.length) : t("projector_empty");
    setText(this.#line, line);
    this.#meter.hidden = !cells;
    this.#meter.value = cells && students.length ? Math.min(1, sum / cells / students.length) : 0;
    const plan = planOf(students, room);
    this.#seats.style.gridTemplateColumns = tracksOf(plan);
    const drawn = students.map((student, index) => this.#cell(student, index, cells, plan));
    arrange(this.#seats, drawn);
  }

  /**
   * @param {Student} student
   * @param {number} index
   * @param {number} cells
   * @param {Plan} plan
   */
  #cell({ student_id: id, number }, index, cells, plan) {
    const { places, isRoom, rows } = plan;
    const cell = this.#cells.get(id) ?? newCell();
    this.#cells.set(id, cell);
    const place = places.get(id);
    const isSeat = isRoom && place && place.row <= rows;
    setText(cell.name, String(number ?? (isSeat ? seatName(place) : index + 1)));
    const succeeded = this.#lesson.progressOf(id)?.succeeded ?? 0;
    cell.bar.style.inlineSize = cells ? `${Math.min(100, (100 * succeeded) / cells)}%` : "0";
    cell.element.classList.toggle("is-done", cells > 0 && succeeded >= cells);
    if (place) {
      cell.element.style.gridColumn = String(trackOf(plan, place.column));
      cell.element.style.gridRow = String(place.row);
    }
    return cell.element;
  }
}

function newCell() {
  const name = el("strong");
  const bar = el("span", { className: "bar-done" });
  return { name, bar, element: el("div", { className: "seat" }, name, bar) };
}
