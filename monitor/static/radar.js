// Errors of the last minutes, by cell and kind: what many students are still at.

import { arrange, el, setText, toast } from "./dom.js";
import { t } from "./i18n.js";
import { isProjected } from "./projected.js";
import { RadarCard, headline, keyOf } from "./radar-card.js";

/** @import { ClassStore } from "./store.js" */
/** @import { ErrorGroup, Radar } from "./types.d.ts" */

const MIN_STUDENTS = 3; // who are still at an error before it is announced, or
const MIN_SHARE = 1 / 5; // of the class

/** @param {number} students in the class */
function threshold(students) {
  return Math.max(MIN_STUDENTS, Math.ceil(students * MIN_SHARE));
}

/**
 * Announces each group that has passed the threshold once, until it has left the radar; also where the
 * page is loaded again meanwhile. While the page is projected nobody would see it.
 */
export class RadarAlarm {
  #store;
  #key;
  #announced;

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
    this.#key = `announced-${store.id}`;
    /** @type {Set<string>} */
    this.#announced = new Set(JSON.parse(sessionStorage.getItem(this.#key) ?? "[]"));
  }

  look() {
    const { id, radar } = this.#store;
    if (!radar || isProjected()) return;
    const keys = new Set(radar.groups.map(keyOf));
    for (const key of this.#announced) if (!keys.has(key)) this.#announced.delete(key);
    for (const group of radar.groups) {
      const few = group.still.length < threshold(radar.students);
      if (few || this.#announced.has(keyOf(group))) continue;
      this.#announced.add(keyOf(group));
      toast(headline(radar, group), `#/class/${id}/errors`);
    }
    sessionStorage.setItem(this.#key, JSON.stringify([...this.#announced]));
  }
}

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 */
export function radarView(root, store, signal) {
  const view = new RadarView(root, store);
  store.on(["radar", "loaded"], () => view.show(), signal);
  view.show();
  store.lookForErrors();
}

class RadarView {
  #store;
  #rule = el("p", { className: "hint" });
  #list = el("ol", { className: "radar" });
  #more = el("p", { className: "hint", hidden: true });
  /** @type {Map<string, RadarCard>} */
  #cards = new Map(); // by the group's key

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   */
  constructor(root, store) {
    this.#store = store;
    root.append(this.#rule, this.#list, this.#more);
  }

  show() {
    const { radar } = this.#store;
    if (!radar) return;
    const { groups, minutes, students, more } = radar;
    setText(
      this.#rule,
      groups.length
        ? t("radar_rule", minutes, threshold(students))
        : t("radar_empty", minutes),
    );
    const keys = new Set(groups.map(keyOf));
    for (const key of this.#cards.keys()) if (!keys.has(key)) this.#cards.delete(key);
    const cards = groups.map((group) => this.#card(radar, group));
    arrange(this.#list, cards);
    this.#more.hidden = !more;
    setText(this.#more, t("radar_more", more));
  }

  /**
   * @param {Radar} radar
   * @param {ErrorGroup} group
   */
  #card(radar, group) {
    const card = this.#cards.get(keyOf(group)) ?? new RadarCard(this.#store, group);
    this.#cards.set(keyOf(group), card);
    card.show(radar, group);
    return card.element;
  }
}
