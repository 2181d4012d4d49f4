// The errors that most students are still at, each with its seats.

import { arrange, el, setText } from "./dom.js";
import { t } from "./i18n.js";
import { cellOf, headline, keyOf } from "./radar-card.js";
import { shape } from "./shapes.js";

/** @import { ClassStore } from "./store.js" */
/** @import { ErrorGroup, Radar } from "./types.d.ts" */

const SHOWN = 3;
const LEAST = 2; // students who are still at it

/** The largest of them in one line, above the seats. It keeps its space: nothing moves when there is one. */
export class LargestError {
  #store;
  #text = el("span", { className: "text" });
  #link = el("a", { textContent: t("show_on_seats") });
  element = el("p", { className: "largest-error is-none" }, shape("error"), this.#text, this.#link);

  /**
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   */
  constructor(store, signal) {
    this.#store = store;
    store.on(["radar", "loaded"], () => this.#show(), signal);
    this.#show();
  }

  #show() {
    const { radar } = this.#store;
    const group = radar?.groups.find(({ still }) => still.length >= LEAST);
    this.element.classList.toggle("is-none", !group);
    if (!radar || !group) return;
    setText(this.#text, t("largest_error", group.still.length, group.error, cellOf(group)));
    this.#text.title = headline(radar, group);
    lead(this.#link, this.#store, group);
  }
}

export class TopErrors {
  #store;
  #list = el("ol", { className: "plain" });
  element;
  /** @type {Map<string, Item>} */
  #items = new Map(); // by the group's key

  /**
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   */
  constructor(store, signal) {
    this.#store = store;
    this.element = el(
      "section",
      { className: "top-errors", hidden: true },
      el("h2", { textContent: t("frequent_errors") }),
      this.#list,
      el("a", { href: `#/class/${store.id}/errors`, textContent: t("all_errors") }),
    );
    store.on(["radar", "loaded"], () => this.show(), signal);
    this.show();
  }

  show() {
    const { radar } = this.#store;
    const groups = radar?.groups.filter((group) => group.still.length >= LEAST).slice(0, SHOWN) ?? [];
    this.element.hidden = !groups.length;
    if (!radar) return;
    const shown = new Map(groups.map((group) => [keyOf(group), this.#item(radar, group)]));
    this.#items = shown;
    arrange(
      this.#list,
      [...shown.values()].map((item) => item.element),
    );
  }

  /**
   * @param {Radar} radar
   * @param {ErrorGroup} group
   */
  #item(radar, group) {
    const item = this.#items.get(keyOf(group)) ?? new Item();
    setText(item.text, headline(radar, group));
    lead(item.link, this.#store, group);
    return item;
  }
}

/**
 * To the seats of those who are still at it.
 *
 * @param {HTMLAnchorElement} link
 * @param {ClassStore} store
 * @param {ErrorGroup} group
 */
function lead(link, store, { still }) {
  const ids = still.map((userId) => store.students.get(userId)?.student_id);
  const known = ids.filter((id) => id !== undefined).join(",");
  const href = `#/class/${store.id}/lesson?errors=${known}`;
  if (link.getAttribute("href") !== href) link.href = href;
}

class Item {
  text = el("span");
  link = el("a", { textContent: t("show_on_seats") });
  element = el("li", {}, this.text, " ", this.link);
}
