// A student: executions, notebooks, submissions.

import { call, serverNow } from "./api.js";
import { alertLine, button, el, failure, joinFacts, pre, setText, shape } from "./dom.js";
import { ago, cellName, formatTime, t } from "./i18n.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Access, Execution, Page, StudentSubmission } from "./types.d.ts" */

const RELOAD_PAUSE = 1_000; // ms
const TIMELINE = "timeline?limit=30";

/** @type {Record<string, string>} */
const ACTIONS = { open: t("opened_it"), save: t("saved_it"), close: t("closed_it") };

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 * @param {string} id
 */
export function studentView(root, store, signal, id) {
  const view = new StudentView(root, store, Number(id));
  store.on(["changed"], (userIds) => view.changed(userIds), signal);
  store.on(["loaded", "tick"], () => view.show(), signal);
  signal.addEventListener("abort", () => view.stop());
  view.show();
  view.load();
}

class StudentView {
  #store;
  #id;
  #title = el("h2");
  #state = el("p", { className: "line" });
  #trouble = alertLine();
  #runs = el("ol", { className: "runs" });
  #more = button(t("more"), () => this.#loadMore());
  #accesses = el("ul", { className: "plain" });
  #submissions = el("ul", { className: "plain" });
  /** @type {Set<string>} */
  #shown = new Set(); // event_ids
  /** @type {string | null} */
  #next = null; // cursor
  #timer = 0;

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   * @param {number} id
   */
  constructor(root, store, id) {
    this.#store = store;
    this.#id = id;
    this.#more.hidden = true;
    /** @param {"timeline" | "submissions" | "opened"} name */
    const heading = (name) => el("h3", { textContent: t(name) });
    const lists = [heading("submissions"), this.#submissions, heading("opened"), this.#accesses];
    root.append(
      this.#title,
      this.#state,
      this.#trouble,
      el(
        "div",
        { className: "columns" },
        el("section", {}, heading("timeline"), this.#runs, this.#more),
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
    const state = this.#store.state(student);
    setText(this.#title, student.name ?? student.user_id);
    const facts = joinFacts([
      t(`state_${state}`),
      student.user_id,
      student.team,
      student.verified && t("verified_fact"),
      t("runs", student.executions),
      student.errors_in_a_row > 0 && t("in_a_row", student.errors_in_a_row),
      student.heard ? ago(serverNow() - student.heard) : t("never"),
    ]);
    this.#state.replaceChildren(shape(state), facts);
  }

  /** @param {Set<string>} userIds */
  changed(userIds) {
    const student = this.#store.byId(this.#id);
    if (!student || !userIds.has(student.user_id)) return;
    this.show();
    this.#timer ||= setTimeout(async () => {
      this.#timer = 0;
      this.#runs.prepend(...this.#newRuns(await this.#ask(TIMELINE)));
    }, RELOAD_PAUSE);
  }

  async load() {
    await this.#append(TIMELINE);
    /** @type {[Page<Access>, Page<StudentSubmission>]} */
    const [accesses, submissions] = await Promise.all([
      this.#ask("accesses?limit=20"),
      this.#ask("submissions?limit=50"),
    ]);
    fill(this.#accesses, accesses.items.map(accessItem));
    fill(
      this.#submissions,
      submissions.items.map((item) => submissionItem(this.#store, item)),
    );
  }

  #loadMore() {
    return this.#append(`${TIMELINE}&cursor=${encodeURIComponent(this.#next ?? "")}`);
  }

  /** @param {string} path */
  async #append(path) {
    /** @type {Page<Execution>} */
    const page = await this.#ask(path);
    this.#next = page.next;
    this.#more.hidden = !this.#next;
    this.#runs.append(...this.#newRuns(page));
  }

  /** @param {Page<Execution>} page */
  #newRuns({ items }) {
    const fresh = items.filter((item) => !this.#shown.has(item.event_id));
    for (const item of fresh) this.#shown.add(item.event_id);
    return fresh.map(runCard);
  }

  /**
   * A page of what is asked for; an empty one where that fails, with the error on the page.
   *
   * @template T
   * @param {string} path
   * @returns {Promise<Page<T>>}
   */
  async #ask(path) {
    try {
      return await call(`students/${this.#id}/${path}`);
    } catch (error) {
      this.#trouble.textContent = failure(error);
      return { items: [], next: null };
    }
  }
}

/**
 * @param {HTMLUListElement} list
 * @param {HTMLLIElement[]} items
 */
function fill(list, items) {
  const nothing = el("li", { className: "hint", textContent: t("nothing") });
  list.replaceChildren(...(items.length ? items : [nothing]));
}

/** @param {Execution} run */
function runCard(run) {
  const failed = run.status === "error";
  const facts = joinFacts([
    formatTime(run.executed_at),
    run.notebook_path?.split("/").pop(),
    run.cell_id && cellName(run.cell_position),
    run.duration_ms !== null && `${Math.round(run.duration_ms)} ms`,
    failed && t("error"),
  ]);
  return el(
    "li",
    { className: "card" },
    el("p", { className: "line" }, shape(failed ? "error" : "active"), facts),
    run.code ? pre(run.code) : null,
    run.error ? pre(run.error, "error") : null,
    run.output && run.output !== run.error ? pre(run.output, "output") : null,
  );
}

/** @param {Access} item */
function accessItem(item) {
  const facts = [
    formatTime(item.accessed_at),
    item.notebook_path,
    ACTIONS[item.action] ?? item.action,
  ];
  return el("li", { textContent: joinFacts(facts) });
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
