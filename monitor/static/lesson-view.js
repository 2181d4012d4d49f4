// The lesson on one screen: the seats, and beside them the calls or a student.

import { address, cameFrom, followedLink, goBack, goInstead, goOn, keepPane, keptPane, withFilters } from "./address.js";
import { IDLE_SECONDS } from "./config.js";
import { button, byId, el, failure, setText } from "./dom.js";
import { t } from "./i18n.js";
import { openInvite } from "./invite.js";
import { keysButton, lessonKeys } from "./keys-of-lesson.js";
import { LessonStrip } from "./lesson-strip.js";
import { Lesson } from "./lesson.js";
import { showNewcomers } from "./newcomers.js";
import { Projector } from "./projector.js";
import { queueOf } from "./queue.js";
import { Rail } from "./rail.js";
import { showRefusals } from "./refusals.js";
import { RoomEditor } from "./room-editor.js";
import { SeatGrid } from "./seat-grid.js";
import { NO_ROOM } from "./seat-plan.js";
import { ABSENT_HOURS, READING_MINUTES } from "./seat-states.js";
import { Timers } from "./timers.js";
import { LargestError } from "./top-errors.js";

/** @import { ClassStore } from "./store.js" */

/** @typedef {"calls" | "seats" | "progress"} Tab of a phone, which shows one pane at a time */

/** @type {Tab[]} */
const TABS = ["calls", "seats", "progress"];
const OF_LESSON = new Set(["lesson", "student"]); // views that this one shows
const NARROW = matchMedia("(max-width: 48rem)");
const COUNT_DELAY = 500; // ms in which changes are gathered: a count that changes moves what is beside it

export class LessonView {
  #store;
  #signal;
  #lesson;
  #grid;
  #strip;
  #rail;
  #projector;
  #trouble = el("p", { className: "trouble", role: "alert" });
  #nobody;
  #turn = button(t("from_desk"), () => this.#turnRound());
  #editing = button(t("edit_seats"), () => this.#edit());
  /** @type {Map<Tab, HTMLButtonElement>} */
  #tabs = new Map();
  /** @type {Tab} */
  #tab; // to which one goes back from a student
  #timers = new Timers();
  element;

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   * @param {number} studentId who is shown beside the seats, 0: nobody
   */
  constructor(root, store, signal, studentId) {
    this.#store = store;
    this.#signal = signal;
    this.#lesson = new Lesson(store, signal);
    this.#grid = new SeatGrid(store, this.#lesson);
    this.#strip = new LessonStrip(store, this.#lesson, () => this.#filter());
    this.#rail = new Rail(store, this.#lesson, signal, (id) => this.#go(id), () => this.back());
    this.#projector = new Projector(store, this.#lesson, signal);
    const invite = button(t("invite_first"), () => openInvite(store.id));
    this.#nobody = el("p", { className: "line", hidden: true }, t("first_student"), invite);
    const notes = el("div", { className: "notes" });
    const paper = el("p", { className: "print-title", textContent: store.current.name });
    const largest = new LargestError(store, signal);
    const below = el("div", { className: "lesson-below" }, largest.element, this.#tools());
    this.element = el(
      "div",
      { className: "lesson" },
      el("div", { className: "lesson-head" }, this.#strip.element, below),
      el("div", { className: "pane-seats" }, paper, this.#trouble, this.#nobody, this.#grid.element),
      this.#rail.element,
      this.#panes(),
    );
    showNewcomers(this.#rail.element, store, signal); // where it moves no seat
    root.append(this.element, notes);
    showRefusals(notes, store, signal);
    notes.append(el("p", { className: "hint", textContent: this.#rule() }));
    this.element.addEventListener("click", (event) => this.#follow(event));
    this.#listen();
    const first = studentId || address().filters.toString() ? "seats" : "calls";
    this.#tab = TABS.find((name) => name === keptPane()) ?? first;
    this.#showPane(this.#tab);
    this.#show(studentId);
    this.#load();
  }

  #tools() {
    const { id } = this.#store;
    const project = button(t("projector"), () => this.#projector.show());
    const list = el("a", { href: `#/class/${id}/students`, textContent: t("list_view") });
    this.#turn.ariaPressed = String(this.#grid.isTurned);
    const tools = [this.#turn, this.#editing, project, list, keysButton()];
    return el("div", { className: "lesson-tools" }, tools);
  }

  #rule() {
    const { stuck_errors: errors, stuck_minutes: minutes } = this.#store.current;
    const idle = Math.round(IDLE_SECONDS / 60);
    return t("seat_rule", errors, minutes, READING_MINUTES, idle, ABSENT_HOURS);
  }

  // The tabs of a phone.
  #panes() {
    const tabs = TABS.map((name) => {
      const tab = button(t(name), () => this.#choose(name));
      this.#tabs.set(name, tab);
      return tab;
    });
    return el("nav", { className: "panes", ariaLabel: t("lesson") }, tabs);
  }

  // A student stays chosen beside their seat, and gives way to calls and progress.
  /** @param {Tab} name */
  #choose(name) {
    this.#tab = name;
    this.#showPane(name);
    if (name !== "seats") this.#leaveStudent();
    keepPane(name);
    scrollTo(0, 0);
    const seat = this.element.querySelector(".seat [aria-current]");
    seat?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** @param {Tab | "student"} name */
  #showPane(name) {
    this.element.dataset.pane = name;
    for (const [each, tab] of this.#tabs) {
      if (each === name) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    }
  }

  #listen() {
    const signal = this.#signal;
    signal.addEventListener("abort", () => this.#timers.close());
    this.#store.on(["changed"], (userIds) => this.#update(userIds), signal);
    this.#store.on(["loaded"], () => this.#load(), signal);
    this.#store.on(["tick"], () => this.#age(), signal);
    this.#store.on(["duties"], () => this.#update(new Set()), signal);
    this.#lesson.on(["room"], () => this.#load(), signal);
    this.#lesson.on(["assignments"], () => this.#strip.showAssignments(), signal);
    this.#lesson.on(["progress"], () => this.#load(), signal);
    lessonKeys(signal, {
      next: () => this.#rail.openNext(),
      take: () => this.#rail.take(),
      back: () => this.back(),
      project: () => this.#projector.show(),
    });
  }

  #load() {
    const { error, students } = this.#store;
    setText(this.#trouble, error ? failure(error) : "");
    this.#nobody.hidden = students.size > 0 || !this.#store.ready;
    this.#grid.load();
    this.#turn.hidden = !this.#grid.isRoom;
    // Saved without the room that there is, the plan would replace it.
    this.#editing.disabled = this.#lesson.room === NO_ROOM || !this.#store.ready;
    this.#filter();
    this.#strip.showProgress();
  }

  /** @param {Set<string>} userIds */
  #update(userIds) {
    // A rank changes with the calls of others, and with the teachers who are here.
    const calling = [...this.#store.help.keys()];
    this.#grid.update(new Set([...userIds, ...calling]));
    this.#showWaiting();
    this.#timers.start("counts", COUNT_DELAY, () => this.#showCounts());
  }

  #age() {
    this.#grid.age();
    this.#update(new Set()); // a call that is overdue has another rank
  }

  #showCounts() {
    this.#strip.showCounts(this.#grid.seats);
    this.#showWaiting();
  }

  #showWaiting() {
    const waiting = queueOf(this.#store).waiting.length;
    const tab = this.#tabs.get("calls");
    if (tab) setText(tab, waiting ? `${t("calls")} ${waiting}` : t("calls"));
  }

  #filter() {
    this.#strip.showFilters();
    this.#grid.filter((seat) => this.#strip.matches(seat));
    this.#showCounts();
  }

  #turnRound() {
    this.#grid.turn();
    this.#turn.ariaPressed = String(this.#grid.isTurned);
  }

  #edit() {
    new RoomEditor(this.#store, this.#lesson.room).open();
  }

  /**
   * Shows a student beside the seats, or the calls again, and gives the focus to what is shown.
   *
   * @param {number} id of a student, 0: nobody
   */
  select(id) {
    const before = this.#rail.studentId;
    this.#show(id);
    if (id) this.#focusStudent();
    else if (before) this.#focusBack(before);
  }

  /** @param {number} id of a student, 0: nobody */
  #show(id) {
    if (this.#tab === "progress") this.#tab = "calls"; // it leads to no student
    this.#rail.show(id, this.#backText);
    if (id) this.#showPane("student");
    else if (this.element.dataset.pane === "student") this.#showPane(this.#tab);
    this.element.classList.toggle("has-student", id > 0);
    this.#grid.choose(id);
    this.#filter();
  }

  // Where `back` leads from a student.
  get #backText() {
    const from = cameFrom();
    if (from === "students") return "back_to_list";
    if (from === "errors") return "back_to_errors";
    if (from && !OF_LESSON.has(from)) return "keys_back";
    return NARROW.matches && this.#tab === "calls" ? "back_to_calls" : "back_to_seats";
  }

  // Who goes from seat to seat goes on from there.
  #focusStudent() {
    const isOnSeat = document.activeElement?.matches(".seat [aria-current]");
    if (NARROW.matches) scrollTo(0, 0);
    if (NARROW.matches || !isOnSeat) this.#rail.focus();
  }

  /** @param {number} id of the student who was shown */
  #focusBack(id) {
    if (document.activeElement?.closest(".panes")) return;
    if (this.#grid.element.checkVisibility()) this.#grid.focus(id);
    else if (!this.#rail.focusCall(id)) byId("view").focus({ preventScroll: true });
  }

  // From one student to another is no step: back leads to where one was.
  /** @param {number} id of a student */
  #go(id) {
    const href = withFilters(this.#store.hrefOf(id));
    if (this.#rail.studentId) goInstead(href);
    else goOn(href);
  }

  /** @param {MouseEvent} event */
  #follow(event) {
    const link = followedLink(event);
    if (!link) return;
    const { kind, id, view, last, filters } = address(link.hash);
    if (kind !== "class" || Number(id) !== this.#store.id) return;
    if (view === "lesson" && filters.toString()) this.#choose("seats");
    if (view !== "student") return;
    event.preventDefault();
    this.#go(Number(last));
  }

  /** Goes back from the student to where one came from, otherwise to the seats. */
  back() {
    if (this.#rail.studentId) goBack(this.#seats, true);
  }

  // To the seats, wherever one came from.
  #leaveStudent() {
    const from = cameFrom();
    if (!from || OF_LESSON.has(from)) this.back();
    else goInstead(this.#seats);
  }

  get #seats() {
    return withFilters(`#/class/${this.#store.id}/lesson`);
  }

  /** Whether the view shows this address, without being made anew. */
  static shows() {
    const { kind, view } = address();
    return kind === "class" && OF_LESSON.has(view);
  }
}
