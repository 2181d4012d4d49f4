// Attempts as cards side by side, newest first; a card stays where nothing in it has changed.

import { changesIn, codeView } from "./code.js";
import { arrange, el, joinFacts } from "./dom.js";
import { formatTime, runTime, t } from "./i18n.js";
import { shape } from "./shapes.js";
import { terminal } from "./terminal.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Attempt } from "./types.d.ts" */

export class AttemptList {
  element = el("ol", { className: "attempts" });
  #store;
  /** @type {Map<string, HTMLLIElement>} */
  #cards = new Map(); // by student and event, newest first

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
  }

  get size() {
    return this.#cards.size;
  }

  clear() {
    this.#cards.clear();
    this.element.replaceChildren();
  }

  /**
   * Shows the newest attempts, above those that are shown already. Returns whether it has begun
   * anew, because there are others between.
   *
   * @param {Attempt[]} items
   */
  update(items) {
    const begins = !items.some((item) => this.#cards.has(keyOf(item)));
    const shown = begins ? new Map() : this.#cards;
    this.#cards = new Map(items.map((item) => [keyOf(item), this.#card(item, shown)]));
    for (const [key, card] of shown) if (!this.#cards.has(key)) this.#cards.set(key, card);
    arrange(this.element, [...this.#cards.values()]);
    return begins;
  }

  /** @param {Attempt[]} items older ones */
  append(items) {
    for (const item of items) this.#cards.set(keyOf(item), this.#card(item, this.#cards));
    arrange(this.element, [...this.#cards.values()]);
  }

  /**
   * @param {Attempt} item
   * @param {Map<string, HTMLLIElement>} shown
   */
  #card(item, shown) {
    const version = String(item.number); // changes when an earlier attempt arrives late
    const old = shown.get(keyOf(item));
    if (old?.dataset.version === version) return old;
    const card = attemptCard(this.#store, item);
    card.dataset.version = version;
    return card;
  }
}

/** @param {Attempt} item */
function keyOf({ student_id: student, event_id: event }) {
  return `${student} ${event}`;
}

/**
 * @param {ClassStore} store
 * @param {Attempt} item
 */
function attemptCard(store, item) {
  const failed = item.status === "error";
  const href = store.hrefOf(item.student_id);
  const facts = joinFacts([
    t("attempt_n", item.number),
    formatTime(item.at),
    runTime(item.duration_ms),
    t(failed ? "error" : "success"),
    item.number > 1 && changeFact(item),
  ]);
  return el(
    "li",
    { className: "card" },
    el(
      "p",
      { className: "line" },
      shape(failed ? "error" : "active"),
      el("a", { href, textContent: store.nameOf(item.user_id) }),
      el("span", { className: "place", textContent: facts }),
    ),
    codeView(item.lines),
    item.error ? terminal(item.error, "error") : null,
    item.output && item.output !== item.error ? output(item.output) : null,
  );
}

/** @param {Attempt} item */
function changeFact({ lines }) {
  const { added, removed } = changesIn(lines);
  return added || removed ? t("lines_changed", added, removed) : t("unchanged");
}

/** @param {string} text */
function output(text) {
  const summary = el("summary", { textContent: t("show_output") });
  return el("details", {}, summary, terminal(text, "output"));
}
