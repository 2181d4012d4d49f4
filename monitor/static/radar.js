// Errors of the last minutes, by cell and kind: what many students are still at.

import { arrange, el, pre, setText, toast } from "./dom.js";
import { cellName, t } from "./i18n.js";
import { terminal } from "./terminal.js";

/** @import { ClassStore } from "./store.js" */
/** @import { ErrorGroup, Radar } from "./types.d.ts" */

const MIN_STUDENTS = 3; // who are still at an error before it is announced, or
const MIN_SHARE = 1 / 5; // of the class

/** @param {number} students in the class */
function threshold(students) {
  return Math.max(MIN_STUDENTS, Math.ceil(students * MIN_SHARE));
}

/** @param {ErrorGroup} group */
export function keyOf(group) {
  return JSON.stringify([group.notebook_id, group.place, group.error]);
}

/**
 * @param {Radar} radar
 * @param {ErrorGroup} group
 */
export function headline(radar, group) {
  const file = group.notebook_path?.split("/").pop() ?? "";
  const cell = cellName(group.cell_position);
  const place = file ? t("place", file, cell) : cell;
  return t("radar_group", group.still.length, radar.students, group.error, place);
}

/** Announces each group that has passed the threshold once, until it has left the radar. */
export class RadarAlarm {
  /** @type {Set<string>} */
  #announced = new Set();

  /** @param {ClassStore} store */
  look({ id, radar }) {
    if (!radar) return;
    const keys = new Set(radar.groups.map(keyOf));
    for (const key of this.#announced) if (!keys.has(key)) this.#announced.delete(key);
    for (const group of radar.groups) {
      const few = group.still.length < threshold(radar.students);
      if (few || this.#announced.has(keyOf(group))) continue;
      this.#announced.add(keyOf(group));
      toast(headline(radar, group), `#/class/${id}/errors`);
    }
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

/**
 * @typedef {object} Card
 * @property {string} version of what it shows
 * @property {HTMLLIElement} element
 * @property {HTMLDetailsElement} details
 */

class RadarView {
  #store;
  #rule = el("p", { className: "hint" });
  #list = el("ol", { className: "radar" });
  #more = el("p", { className: "hint", hidden: true });
  /** @type {Map<string, Card>} */
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
    const restoreFocus = focusIn(this.#list);
    arrange(this.#list, cards);
    restoreFocus();
    this.#more.hidden = !more;
    setText(this.#more, t("radar_more", more));
  }

  // Makes the group's card anew only where something in it has changed.
  /**
   * @param {Radar} radar
   * @param {ErrorGroup} group
   */
  #card(radar, group) {
    const version = JSON.stringify([group, radar.students, this.#store.ready]);
    const old = this.#cards.get(keyOf(group));
    if (old?.version === version) return old.element;
    const details = exampleOf(this.#store, group);
    details.open = old?.details.open ?? false;
    const element = card(this.#store, radar, group, details);
    this.#cards.set(keyOf(group), { version, details, element });
    return element;
  }
}

/**
 * Returns a function that gives the focus to the element in the place of the one that has it now.
 *
 * @param {Element} list
 */
function focusIn(list) {
  const active = document.activeElement;
  const held = active?.closest("[data-key]");
  if (!(held instanceof HTMLElement) || !active || !list.contains(held)) return () => {};
  /** @param {Element} inside */
  const alike = (inside) => [...inside.querySelectorAll(active.tagName)];
  const place = alike(held).indexOf(active);
  return () => {
    const now = list.querySelector(`[data-key="${CSS.escape(held.dataset.key ?? "")}"]`);
    const target = now && now !== held ? alike(now)[place] : null;
    if (target instanceof HTMLElement) target.focus();
  };
}

/**
 * @param {ClassStore} store
 * @param {Radar} radar
 * @param {ErrorGroup} group
 * @param {HTMLDetailsElement} details
 */
function card(store, radar, group, details) {
  const past = group.students.filter((userId) => !group.still.includes(userId));
  const share = el("meter", {
    max: radar.students,
    value: group.still.length,
    ariaLabel: headline(radar, group),
  });
  return el(
    "li",
    { className: "card", "data-key": keyOf(group) },
    el(
      "div",
      { className: "line" },
      el("h2", { textContent: headline(radar, group) }),
      trend(group.trend),
    ),
    share,
    names(store, group.still, t("students")),
    past.length ? pastIt(store, group, past) : null,
    details,
  );
}

/**
 * @param {ClassStore} store
 * @param {string[]} userIds
 * @param {string} ariaLabel
 */
function names(store, userIds, ariaLabel) {
  const items = userIds.map((userId) => {
    const student = store.students.get(userId);
    const textContent = store.nameOf(userId);
    const href = student && store.hrefOf(student.student_id);
    return el("li", {}, href ? el("a", { href, textContent }) : textContent);
  });
  return el("ul", { className: "names", ariaLabel }, items);
}

/**
 * @param {ClassStore} store
 * @param {ErrorGroup} group
 * @param {string[]} past who met the error and has it no longer
 */
function pastIt(store, { students, still }, past) {
  const label = t("radar_past", past.length);
  return el(
    "div",
    { className: "past" },
    el("p", { textContent: t("radar_met", still.length, students.length) }),
    el("p", { textContent: label }),
    names(store, past, label),
  );
}

/**
 * @param {ClassStore} store
 * @param {ErrorGroup} group
 */
function exampleOf(store, group) {
  return el(
    "details",
    {},
    el("summary", { textContent: t("example", store.nameOf(group.example_of)) }),
    pre(group.code ?? ""),
    terminal(group.example ?? "", "error"),
  );
}

// Ten bars: too little for a chart.
/** @param {number[]} counts */
function trend(counts) {
  const most = Math.max(1, ...counts);
  const bars = counts.map((count) => {
    const bar = el("span");
    bar.style.blockSize = `${Math.round((100 * count) / most)}%`;
    return bar;
  });
  return el(
    "span",
    { className: "trend", role: "img", ariaLabel: t("trend", counts.join(" ")) },
    bars,
  );
}
