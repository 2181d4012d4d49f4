// Beside the seats: the calls, or the student who was chosen, with the next call.

import { button, el } from "./dom.js";
import { callQueue } from "./help.js";
import { t } from "./i18n.js";
import { studentView } from "./student.js";
import { TopErrors } from "./top-errors.js";

/** @import { ClassStore } from "./store.js" */

export class Rail {
  #store;
  #calls = el("div", { className: "rail-calls" });
  #student = el("div", { className: "rail-student", hidden: true });
  #next = button("", () => this.openNext());
  #close;
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
    this.#close = button(t("back_to_seats"), close);
    this.#close.className = "quiet";
    const errors = new TopErrors(store, signal);
    this.#calls.append(
      el("h2", { textContent: t("calls") }),
      callQueue(store, signal),
      errors.element,
    );
    store.on(["changed", "loaded"], () => this.#showNext(), signal);
    signal.addEventListener("abort", () => this.#leaving.abort());
    this.#next.textContent = t("next_call");
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
    const view = el("div", { className: "view" });
    this.#student.replaceChildren(
      el("div", { className: "bar" }, this.#close, this.#next),
      view,
    );
    if (id) studentView(view, this.#store, this.#leaving.signal, String(id));
    this.#showNext();
  }

  // The first of the queue that is not shown already.
  get #nextCall() {
    const waiting = [...this.#store.help.values()].filter((each) => !each.taken_by);
    waiting.sort((a, b) => Date.parse(a.asked_at) - Date.parse(b.asked_at));
    const place = waiting.findIndex((each) => each.student_id === this.#id);
    return waiting[place + 1] ?? waiting.find((each) => each.student_id !== this.#id);
  }

  #showNext() {
    this.#next.hidden = !this.#nextCall;
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
