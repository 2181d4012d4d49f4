// A student: how it goes, executions, notebooks, submissions.

import { serverNow } from "./clock.js";
import { alertLine, el, joinFacts, setText } from "./dom.js";
import { History, fill } from "./history.js";
import { ago, formatTime, t } from "./i18n.js";
import { runText } from "./running.js";
import { seatOf } from "./seat-plan.js";
import { seatState, stateWord } from "./seat-states.js";
import { shape, showShape } from "./shapes.js";
import { isIdle } from "./states.js";

/** @import { Lesson } from "./lesson.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Page, StudentSubmission } from "./types.d.ts" */

const RELOAD_PAUSE = 1_000; // ms

/**
 * Fills `root`; returns the heading, which can take the focus.
 *
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {Lesson} lesson
 * @param {AbortSignal} signal
 * @param {number} id
 */
export function studentView(root, store, lesson, signal, id) {
  const view = new StudentView(root, store, lesson, id);
  store.on(["changed"], (userIds) => view.changed(userIds), signal);
  store.on(["loaded"], () => view.loaded(), signal);
  store.on(["tick"], () => view.show(), signal);
  lesson.on(["progress"], () => view.show(), signal);
  store.on(["submission"], ({ userId }) => view.submitted(userId), signal);
  signal.addEventListener("abort", () => view.stop());
  view.show();
  view.load();
  return view.title;
}

class StudentView {
  #store;
  #lesson;
  #id;
  title = el("h2", { tabIndex: -1 });
  #shape = shape();
  #facts = el("span");
  #state = el("p", { className: "line state" }, this.#shape, this.#facts);
  #trouble = alertLine();
  #history;
  #submissions = el("ul", { className: "plain" });
  #timer = 0;

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   * @param {Lesson} lesson
   * @param {number} id
   */
  constructor(root, store, lesson, id) {
    this.#store = store;
    this.#lesson = lesson;
    this.#id = id;
    this.#history = new History(id, this.#trouble);
    const { runs, more, accesses } = this.#history;
    /** @param {"timeline" | "submissions" | "opened"} name */
    const heading = (name) => el("h3", { textContent: t(name) });
    const lists = [heading("submissions"), this.#submissions, heading("opened"), accesses];
    root.append(
      this.title,
      this.#state,
      this.#trouble,
      el(
        "div",
        { className: "columns" },
        el("section", {}, heading("timeline"), runs, more),
        el("section", {}, lists),
      ),
    );
  }

  stop() {
    clearTimeout(this.#timer);
  }

  show() {
    const student = this.#store.byId(this.#id);
    if (!student) return;
    const progress = this.#lesson.progressOf(this.#id);
    const state = seatState(this.#store, this.#lesson, student);
    const request = this.#store.help.get(student.user_id);
    const cells = this.#lesson.progress?.cells ?? 0;
    const seat = seatOf(student);
    const reading = student.kana ? t("reading_of", student.kana) : "";
    setText(this.title, `${student.name ?? student.user_id}${reading}`);
    const facts = joinFacts([
      stateWord(state, Boolean(request?.taken_by), progress),
      runText(student, isIdle(student)),
      seat && t("seat_at", seat),
      cells > 0 && t("cells_done", progress?.succeeded ?? 0, cells),
      student.user_id,
      student.team,
      t(student.verified ? "verified" : "claimed"),
      t("runs", student.executions),
      student.errors_in_a_row > 0 && t("in_a_row", student.errors_in_a_row),
      student.heard ? ago(serverNow() - student.heard) : t("never"),
    ]);
    showShape(this.#shape, state);
    setText(this.#facts, facts);
  }

  /** @param {Set<string>} userIds */
  changed(userIds) {
    const student = this.#store.byId(this.#id);
    if (student && userIds.has(student.user_id)) this.loaded();
  }

  /** Something may have happened: while the page polls, no message says it. */
  loaded() {
    this.show();
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#history.refresh();
    }, RELOAD_PAUSE);
  }

  /** @param {string} userId who handed something in, or got a grade */
  submitted(userId) {
    if (this.#store.byId(this.#id)?.user_id === userId) this.#loadSubmissions();
  }

  async load() {
    await this.#history.load();
    await this.#loadSubmissions();
  }

  async #loadSubmissions() {
    /** @type {Page<StudentSubmission> | null} */
    const page = await this.#history.ask("submissions?limit=50");
    if (!page) return; // those that are shown stay
    fill(
      this.#submissions,
      page.items.map((item) => submissionItem(this.#store, item)),
    );
  }
}

/**
 * @param {ClassStore} store
 * @param {StudentSubmission} item
 */
function submissionItem(store, item) {
  const facts = [
    item.title,
    t("attempt", item.attempt),
    formatTime(item.submitted_at),
    item.late && t("late"),
    item.grade !== null && t("graded", item.grade),
  ];
  const href = `#/class/${store.id}/submission/${item.id}`;
  return el("li", {}, el("a", { href, textContent: joinFacts(facts) }));
}
