// The errors that most students are still at, each with its seats.

import { arrange, el, setText } from "./dom.js";
import { t } from "./i18n.js";
import { headline, keyOf } from "./radar-card.js";

/** @import { ClassStore } from "./store.js" */
/** @import { ErrorGroup, Radar } from "./types.d.ts" */

const SHOWN = 3;

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
    const groups = radar?.groups.filter((group) => group.still.length > 1).slice(0, SHOWN) ?? [];
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
    const ids = group.still.map((userId) => this.#store.students.get(userId)?.student_id);
    const known = ids.filter((id) => id !== undefined).join(",");
    const href = `#/class/${this.#store.id}/lesson?errors=${known}`;
    if (item.link.getAttribute("href") !== href) item.link.href = href;
    return item;
  }
}

class Item {
  text = el("span");
  link = el("a", { textContent: t("show_on_seats") });
  element = el("li", {}, this.text, " ", this.link);
}
