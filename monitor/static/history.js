// A student's runs and their use of notebooks, newest first.

import { call } from "./api.js";
import { codeView } from "./code.js";
import { button, el, failure, joinFacts, pre } from "./dom.js";
import { cellName, formatTime, runTime, t } from "./i18n.js";
import { pictures } from "./pictures.js";
import { shape } from "./shapes.js";
import { terminal } from "./terminal.js";

/** @import { Access, Execution, Page, RunChanges } from "./types.d.ts" */

const TIMELINE = "timeline?limit=30";
const CHANGES = "changes?limit=30"; // of the same page
const ACCESSES = "accesses?limit=20";

/** @type {Record<string, string>} */
const ACTIONS = { open: t("opened_it"), save: t("saved_it"), close: t("closed_it") };

/**
 * Says which class something was done in; null is none.
 *
 * @typedef {(classId: number | null) => string} ClassLabel
 */

export class History {
  runs = el("ol", { className: "runs" });
  more = button(t("more"), () => this.#loadMore());
  accesses = el("ul", { className: "plain" });
  #studentId;
  #trouble;
  #labelOf;
  /** @type {Map<string, HTMLElement>} */
  #shown = new Map(); // by event_id
  /** @type {string | null} */
  #next = null; // cursor

  /**
   * @param {number} studentId
   * @param {HTMLElement} trouble where errors are shown
   * @param {ClassLabel} [labelOf] where the classes are to be named
   */
  constructor(studentId, trouble, labelOf = () => "") {
    this.#studentId = studentId;
    this.#trouble = trouble;
    this.#labelOf = labelOf;
    this.more.hidden = true;
  }

  async load() {
    await this.#append("");
    /** @type {Page<Access> | null} */
    const page = await this.ask(ACCESSES);
    if (!page) return;
    fill(
      this.accesses,
      page.items.map((item) => accessItem(item, this.#labelOf)),
    );
  }

  /** Adds what is new. */
  async refresh() {
    /** @type {Page<Execution> | null} */
    const page = await this.ask(TIMELINE);
    const fresh = page ? this.#newRuns(page) : [];
    this.runs.prepend(...fresh);
    if (fresh.length) await this.#showChanges("");
  }

  #loadMore() {
    return this.#append(`&cursor=${encodeURIComponent(this.#next ?? "")}`);
  }

  /** @param {string} cursor */
  async #append(cursor) {
    /** @type {Page<Execution> | null} */
    const page = await this.ask(TIMELINE + cursor);
    if (!page) return; // what was offered still is
    this.#next = page.next;
    this.more.hidden = !this.#next;
    this.runs.append(...this.#newRuns(page));
    if (page.items.length) await this.#showChanges(cursor);
  }

  // In place of the codes as they are, which are there at once.
  /** @param {string} cursor */
  async #showChanges(cursor) {
    try {
      /** @type {RunChanges[]} */
      const runs = await call(`students/${this.#studentId}/${CHANGES}${cursor}`);
      for (const { event_id: id, lines } of runs) {
        const code = this.#shown.get(id)?.querySelector("pre.plain-code");
        code?.replaceWith(codeView(lines));
      }
    } catch (error) {
      this.#trouble.textContent = failure(error);
    }
  }

  /** @param {Page<Execution>} page */
  #newRuns({ items }) {
    const fresh = items.filter((item) => !this.#shown.has(item.event_id));
    return fresh.map((item) => {
      const card = runCard(this.#studentId, item, this.#labelOf);
      this.#shown.set(item.event_id, card);
      return card;
    });
  }

  /**
   * A page of what is asked for; null where that fails, with the error on the page.
   *
   * @template T
   * @param {string} path below the student's
   * @returns {Promise<Page<T> | null>}
   */
  async ask(path) {
    try {
      return await call(`students/${this.#studentId}/${path}`);
    } catch (error) {
      this.#trouble.textContent = failure(error);
      return null;
    }
  }
}

/**
 * @param {HTMLUListElement} list
 * @param {HTMLLIElement[]} items
 */
export function fill(list, items) {
  const nothing = el("li", { className: "hint", textContent: t("nothing") });
  list.replaceChildren(...(items.length ? items : [nothing]));
}

/**
 * @param {number} studentId
 * @param {Execution} run
 * @param {ClassLabel} labelOf
 */
function runCard(studentId, run, labelOf) {
  const failed = run.status === "error";
  const rendered = run.status === "rendered";
  const facts = joinFacts([
    formatTime(run.at),
    labelOf(run.class_id),
    run.notebook_path?.split("/").pop(),
    run.cell_id && cellName(run.cell_position, null, run.cell_heading), // its code follows
    !rendered && runTime(run.duration_ms),
    failed && t("error"),
    rendered && t("rendered"),
    run.excluded && t(run.excluded),
  ]);
  return el(
    "li",
    { className: "card" },
    el("p", { className: "line" }, shape(rendered ? "idle" : failed ? "error" : "active"), facts),
    run.code ? pre(run.code, rendered ? "" : "plain-code") : null,
    run.error ? terminal(run.error, "error") : null,
    run.output && run.output !== run.error ? terminal(run.output, "output") : null,
    run.output_cut ? el("p", { className: "hint", textContent: t("output_cut") }) : null,
    pictures(studentId, run),
  );
}

/**
 * @param {Access} item
 * @param {ClassLabel} labelOf
 */
function accessItem(item, labelOf) {
  const facts = [
    formatTime(item.at),
    labelOf(item.class_id),
    item.notebook_path,
    ACTIONS[item.action] ?? item.action,
    item.excluded && t(item.excluded),
  ];
  return el("li", { textContent: joinFacts(facts) });
}
