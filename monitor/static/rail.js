// Beside the seats: the calls, or the student who was chosen, with the next call.

import { button, el } from "./dom.js";
import { callQueue } from "./help.js";
import { t } from "./i18n.js";
import { queueOf } from "./queue.js";
import { studentView } from "./student.js";
import { TopErrors } from "./top-errors.js";

/** @import { ClassStore } from "./store.js" */

export class Rail {
  #store;
  #calls = el("div", { className: "rail-calls" });
  #student = el("div", { className: "rail-student", hidden: true });
  #next = button(t("next_call"), () => this.openNext());
  #view = el("div", { className: "view" });
  /** @type {HTMLElement | null} */
  #heading = null; // of the student
  #open;
  #leaving = new AbortController();
  #id = 0; // the student's who is shown
  element = el("aside", { className: "rail", ariaLabel: t("calls") }, this.#calls, this.#student);

  /**
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   * @param {(studentId: number) => void} open goes to a student's address
   * @param {() => void} close goes back
   */
  constructor(store, signal, open, close) {
    this.#store = store;
    this.#open = open;
    const back = button(t("back_to_seats"), close);
    back.className = "quiet";
    this.#student.append(el("div", { className: "bar" }, back, this.#next), this.#view);
    const errors = new TopErrors(store, signal);
    this.#calls.append(
      el("h2", { textContent: t("calls") }),
      callQueue(store, signal),
      errors.element,
    );
    store.on(["changed", "loaded"], () => this.#showNext(), signal);
    signal.addEventListener("abort", () => this.#leaving.abort());
  }

  /** The student's id, 0: the calls are shown. */
  get studentId() {
    return this.#id;
  }

  /** @param {number} id of a student, 0: the calls */
  show(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#leaving.abort();
    this.#leaving = new AbortController();
    this.#calls.hidden = id > 0;
    this.#student.hidden = !id;
    this.element.ariaLabel = t(id ? "student" : "calls");
    this.#view.replaceChildren();
    this.#heading = id
      ? studentView(this.#view, this.#store, this.#leaving.signal, String(id))
      : null;
    this.element.scrollTop = 0;
    this.#showNext();
  }

  /** Gives the focus to the student's name, so that a screen reader says it. */
  focus() {
    this.#heading?.focus({ preventScroll: true });
  }

  /**
   * Gives the focus to the student's call; false: there is none.
   *
   * @param {number} studentId
   */
  focusCall(studentId) {
    const href = this.#store.hrefOf(studentId);
    const link = this.#calls.querySelector(`.call h2 a[href="${href}"]`);
    if (link instanceof HTMLElement) link.focus();
    return link !== null;
  }

  // The first of the queue that is not shown already.
  get #nextCall() {
    const { open } = queueOf(this.#store);
    const place = open.findIndex((each) => each.student_id === this.#id);
    return open[place + 1] ?? open.find((each) => each.student_id !== this.#id);
  }

  #showNext() {
    const isFocused = document.activeElement === this.#next;
    this.#next.hidden = !this.#nextCall;
    if (isFocused && this.#next.hidden) this.focus();
  }

  openNext() {
    const call = this.#nextCall;
    if (call) this.#open(call.student_id);
  }

  /** Takes the call that is shown, or else the first. */
  take() {
    const shown = this.#id ? this.#student : this.#calls;
    const take = [...shown.querySelectorAll("button.take")].find(
      (each) => each instanceof HTMLElement && !each.hidden,
    );
    if (take instanceof HTMLElement) take.click();
  }
}
