// A group of errors: what failed where, the code, who is still at it, and what a teacher can do.

import { arrange, button, el, pre, setText } from "./dom.js";
import { cellName, t } from "./i18n.js";
import { tellAll } from "./notice-dialog.js";
import { seatName } from "./seat-plan.js";
import { terminal } from "./terminal.js";

/** @import { ClassStore } from "./store.js" */
/** @import { ErrorGroup, Radar } from "./types.d.ts" */

const SEATS_NAMED = 12; // in the summary; the names below it are all

/** @param {ErrorGroup} group */
export function keyOf(group) {
  return JSON.stringify([group.notebook_id, group.place, group.error]);
}

/** @param {ErrorGroup} group */
export function cellOf(group) {
  return cellName(group.cell_position, group.cell_title, group.cell_heading);
}

/** @param {ErrorGroup} group */
function placeOf(group) {
  const file = group.notebook_path?.split("/").pop() ?? "";
  const cell = cellOf(group);
  return file ? t("place", file, cell) : cell;
}

/**
 * @param {Radar} radar
 * @param {ErrorGroup} group
 */
export function headline(radar, group) {
  return t("radar_group", group.still.length, radar.students, group.error, placeOf(group));
}

/**
 * The card of a group. Its parts stay the same elements while it changes, so that what is unfolded
 * stays so, and the focus stays where it is.
 */
export class RadarCard {
  #store;
  #group;
  #title = el("h2");
  #trend = el("span", { className: "trend", role: "img" });
  #share = el("meter");
  #code = pre("");
  #error = el("div");
  #example = el("p", { className: "hint" });
  #who;
  #past;
  #seats = el("a", { textContent: t("show_on_seats") });
  element;

  /**
   * @param {ClassStore} store
   * @param {ErrorGroup} group
   */
  constructor(store, group) {
    this.#store = store;
    this.#group = group;
    this.#who = new FoldedNames(store);
    this.#past = new FoldedNames(store);
    const tell = button(t("tell_all"), () =>
      tellAll(store.id, t("notice_of_place", placeOf(this.#group))),
    );
    this.element = el(
      "li",
      { className: "card", "data-key": keyOf(group) },
      el("div", { className: "line" }, this.#title, this.#trend),
      this.#share,
      this.#example,
      this.#code,
      this.#error,
      this.#who.element,
      this.#past.element,
      el("div", { className: "line" }, this.#seats, tell),
    );
  }

  /**
   * @param {Radar} radar
   * @param {ErrorGroup} group
   */
  show(radar, group) {
    const { still, students } = group;
    const isOther = group.example !== this.#group.example || !this.#error.hasChildNodes();
    this.#group = group;
    const title = headline(radar, group);
    setText(this.#title, title);
    this.#share.max = radar.students;
    this.#share.value = still.length;
    this.#share.ariaLabel = title;
    showTrend(this.#trend, group.trend);
    setText(this.#code, group.code ?? "");
    if (isOther) this.#error.replaceChildren(terminal(group.example ?? "", "error"));
    setText(this.#example, t("example", this.#store.nameOf(group.example_of)));
    const seats = seatsOf(this.#store, still);
    const count = [still.length, radar.students];
    this.#who.show(seats ? t("radar_seats", ...count, seats) : t("radar_who", ...count), still);
    const past = students.filter((userId) => !still.includes(userId));
    this.#past.show(t("radar_met", still.length, students.length, past.length), past);
    this.#seats.href = `#/class/${this.#store.id}/lesson?errors=${this.#idsOf(still).join(",")}`;
  }

  /** @param {string[]} userIds */
  #idsOf(userIds) {
    const ids = userIds.map((userId) => this.#store.students.get(userId)?.student_id);
    return ids.filter((id) => id !== undefined);
  }
}

/** Names of students behind their count, each leading to the student. */
class FoldedNames {
  #store;
  #summary = el("summary");
  #list = el("ul", { className: "names" });
  element = el("details", { className: "who" }, this.#summary, this.#list);
  /** @type {Map<string, HTMLLIElement>} */
  #items = new Map(); // by user_id

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
  }

  /**
   * @param {string} count
   * @param {string[]} userIds none: it is hidden
   */
  show(count, userIds) {
    this.element.hidden = userIds.length === 0;
    setText(this.#summary, count);
    const items = userIds.map((userId) => this.#item(userId));
    this.#items = new Map(userIds.map((userId, place) => [userId, items[place]]));
    arrange(this.#list, items);
  }

  /** @param {string} userId */
  #item(userId) {
    const student = this.#store.students.get(userId);
    const textContent = this.#store.nameOf(userId);
    const href = student && this.#store.hrefOf(student.student_id);
    const old = this.#items.get(userId);
    const link = old?.querySelector("a");
    if (old?.textContent === textContent && link?.getAttribute("href") === (href ?? undefined))
      return old;
    return el("li", {}, href ? el("a", { href, textContent }) : textContent);
  }
}

/**
 * The seats of those who have one, in the order of the room; empty if nobody has.
 *
 * @param {ClassStore} store
 * @param {string[]} userIds
 */
function seatsOf(store, userIds) {
  const seated = userIds.flatMap((userId) => {
    const { seat_row: row, seat_column: column } = store.students.get(userId) ?? {};
    return row && column ? [{ row, column }] : [];
  });
  seated.sort((a, b) => a.row - b.row || a.column - b.column);
  const named = seated.slice(0, SEATS_NAMED).map(seatName);
  const isCut = named.length < userIds.length;
  return named.length ? named.join(t("list_separator")) + (isCut ? " …" : "") : "";
}

// Ten bars: too little for a chart.
/**
 * @param {HTMLElement} element
 * @param {number[]} counts
 */
function showTrend(element, counts) {
  const text = t("trend", counts.join(" "));
  if (element.ariaLabel === text) return;
  element.ariaLabel = text;
  const most = Math.max(1, ...counts);
  const bars = counts.map((count) => {
    const bar = el("span");
    bar.style.blockSize = `${Math.round((100 * count) / most)}%`;
    return bar;
  });
  element.replaceChildren(...bars);
}
