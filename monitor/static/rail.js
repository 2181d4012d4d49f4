// Beside the seats: the calls, or the student who was chosen, with the next call.

import { CallActions } from "./call-actions.js";
import { button, el, setText } from "./dom.js";
import { DutyBar } from "./duty.js";
import { CallList } from "./help.js";
import { t } from "./i18n.js";
import { queueOf } from "./queue.js";
import { StudentCall } from "./student-call.js";
import { studentView } from "./student.js";
import { teacherName } from "./teacher-name.js";
import { TopErrors } from "./top-errors.js";

/** @import { TextName } from "./i18n.js" */
/** @import { Lesson } from "./lesson.js" */
/** @import { ClassStore } from "./store.js" */

export class Rail {
  #store;
  #lesson;
  #actions;
  #duty;
  #list;
  #title = el("h2", { textContent: t("calls") });
  #calls = el("div", { className: "rail-calls" });
  #student = el("div", { className: "rail-student", hidden: true });
  #back;
  #next = button(t("next_call"), () => this.openNext());
  #view = el("div", { className: "view" });
  /** @type {StudentCall | null} */
  #call = null; // of the student who is shown
  /** @type {HTMLElement | null} */
  #heading = null;
  #open;
  #leaving = new AbortController();
  #id = 0; // the student's who is shown
  #ways;
  #who;
  element;

  /**
   * @param {ClassStore} store
   * @param {Lesson} lesson
   * @param {AbortSignal} signal
   * @param {(studentId: number) => void} open goes to a student's address
   * @param {() => void} close goes back
   */
  constructor(store, lesson, signal, open, close) {
    this.#store = store;
    this.#lesson = lesson;
    this.#open = open;
    // One for both panes: what was done in one can be undone in the other.
    this.#actions = new CallActions(store, (userId) => (this.#call ?? this.#list).answered(userId));
    this.#list = new CallList(store, this.#actions, signal);
    this.#duty = new DutyBar(store, signal);
    this.#calls.append(this.#list.element, new TopErrors(store, signal).element);
    this.#student.append(this.#view);
    this.#back = button("", close);
    this.#back.className = "quiet";
    this.#ways = el("div", { className: "bar", hidden: true }, this.#back, this.#next);
    this.#who = el("div", { className: "bar rail-teacher" }, this.#actions.name.element, this.#duty.element);
    const panes = [this.#title, this.#who, this.#calls, this.#student];
    this.element = el(
      "aside",
      { className: "rail", ariaLabel: t("calls") },
      this.#ways,
      panes,
      this.#actions.undo.element,
    );
    store.on(["changed", "loaded"], () => this.#showNext(), signal);
    store.on(["changed", "loaded", "tick"], () => this.#showName(), signal);
    signal.addEventListener("abort", () => this.#leaving.abort());
  }

  /** The student's id, 0: the calls are shown. */
  get studentId() {
    return this.#id;
  }

  /**
   * @param {number} id of a student, 0: the calls
   * @param {TextName} back where one goes from the student
   */
  show(id, back) {
    setText(this.#back, t(back));
    if (id === this.#id) return;
    this.#id = id;
    this.#leaving.abort();
    this.#leaving = new AbortController();
    for (const each of [this.#title, this.#calls, this.#duty.element]) each.hidden = id > 0;
    for (const each of [this.#ways, this.#student]) each.hidden = !id;
    this.element.ariaLabel = t(id ? "student" : "calls");
    this.#fill(id);
    this.element.scrollTop = 0;
    this.#showNext();
    this.#showName();
  }

  /** @param {number} id of a student, 0: nobody */
  #fill(id) {
    this.#view.replaceChildren();
    this.#call = null;
    this.#heading = null;
    if (!id) return;
    const { signal } = this.#leaving;
    this.#call = new StudentCall(this.#store, id, this.#actions, signal);
    this.#view.append(this.#call.element);
    this.#heading = studentView(this.#view, this.#store, this.#lesson, signal, id);
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

  // Beside a student the name is asked for where they call and it is missing.
  #showName() {
    const { element } = this.#actions.name;
    const isMissing = Boolean(this.#call?.isOpen) && !teacherName();
    this.#who.hidden = this.#id > 0 && !isMissing && !element.matches(":focus-within");
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
