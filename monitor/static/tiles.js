// The class, live: one tile for each student.

import { address, setFilters } from "./address.js";
import { IDLE_SECONDS } from "./config.js";
import { arrange, button, el, failure } from "./dom.js";
import { makeSelect } from "./forms.js";
import { t } from "./i18n.js";
import { openInvite } from "./invite.js";
import { showNewcomers } from "./newcomers.js";
import { showRefusals } from "./refusals.js";
import { STATES } from "./states.js";
import { StateCounts, Tile } from "./tile.js";

/** @import { ClassStore } from "./store.js" */

const REORDER_PAUSE = 1_000; // ms: tiles that move too often can't be read
const NEWCOMER_PAUSE = 100; // ms: a new tile appears at once

/** @type {Record<string, (a: Tile, b: Tile) => number>} */
const ORDERS = {
  need: (a, b) =>
    urgency(a) - urgency(b) ||
    a.askedAt - b.askedAt ||
    b.errorsInARow - a.errorsInARow ||
    byName(a, b),
  name: (a, b) => byName(a, b),
  heard: (a, b) => b.student.heard - a.student.heard || byName(a, b),
  errors: (a, b) => b.errorsInARow - a.errorsInARow || byName(a, b),
};

/** @type {[string, string][]} */
const ORDER_NAMES = [
  ["need", t("sort_need")],
  ["name", t("sort_name")],
  ["heard", t("sort_heard")],
  ["errors", t("sort_errors")],
];

// Students whom no teacher has taken come first, then by state.
/** @param {Tile} tile */
function urgency(tile) {
  return tile.state === "help" && tile.taken ? 0.5 : STATES.indexOf(tile.state);
}

/**
 * @param {Tile} a
 * @param {Tile} b
 */
function byName(a, b) {
  return a.name.localeCompare(b.name) || (a.userId < b.userId ? -1 : 1);
}

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 */
export function tilesView(root, store, signal) {
  showNewcomers(root, store, signal);
  const view = new TilesView(root, store);
  showRefusals(root, store, signal);
  store.on(["changed"], (userIds) => view.update(userIds), signal);
  store.on(["loaded"], () => view.load(), signal);
  store.on(["tick"], () => view.age(), signal);
  signal.addEventListener("abort", () => view.stop());
  if (store.students.size) view.load();
}

class TilesView {
  #store;
  /** @type {Map<string, Tile>} */
  #tiles = new Map(); // by user_id
  #counts = new StateCounts();
  #bar = new Bar(() => this.#order());
  #body = el("div");
  /** @type {Map<string, HTMLElement>} */
  #sections = new Map(); // by team
  #timer = 0;
  #orderedBy = Infinity; // ms of performance.now(): when the timer runs

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   */
  constructor(root, store) {
    this.#store = store;
    const { stuck_errors: errors, stuck_minutes: minutes } = store.current;
    const legend = t("legend", errors, minutes, Math.round(IDLE_SECONDS / 60));
    root.append(
      this.#bar.element,
      this.#counts.element,
      this.#body,
      el("p", { className: "hint", textContent: legend }),
    );
  }

  stop() {
    clearTimeout(this.#timer);
  }

  load() {
    const { students, error } = this.#store;
    for (const userId of this.#tiles.keys()) if (!students.has(userId)) this.#tiles.delete(userId);
    this.update(students.keys());
    const trouble = { className: "trouble", textContent: error && failure(error) };
    if (error) this.#body.replaceChildren(el("p", trouble));
    else if (!students.size) this.#body.replaceChildren(this.#nobody());
  }

  #nobody() {
    const invite = button(t("invite_first"), () => openInvite(this.#store.id));
    return el("p", { className: "line" }, t("first_student"), invite);
  }

  /** @param {Iterable<string>} userIds */
  update(userIds) {
    const before = this.#tiles.size;
    for (const userId of userIds) {
      const student = this.#store.students.get(userId);
      if (!student) continue;
      const tile = this.#tiles.get(userId) ?? new Tile(this.#store, student);
      this.#tiles.set(userId, tile);
      tile.show(student, this.#store.state(student), this.#store.help.get(userId));
    }
    if (!before) this.#order();
    else this.#orderWithin(this.#tiles.size > before ? NEWCOMER_PAUSE : REORDER_PAUSE);
  }

  /** @param {number} pause ms, at most */
  #orderWithin(pause) {
    const by = performance.now() + pause;
    if (by >= this.#orderedBy) return;
    clearTimeout(this.#timer);
    this.#orderedBy = by;
    this.#timer = setTimeout(() => this.#order(), pause);
  }

  age() {
    const changed = [];
    for (const [userId, tile] of this.#tiles) if (tile.age()) changed.push(userId);
    if (changed.length) this.update(changed);
  }

  #order() {
    clearTimeout(this.#timer);
    this.#orderedBy = Infinity;
    if (!this.#tiles.size) return;
    const all = [...this.#tiles.values()];
    const { filter, order, byTeam } = this.#bar;
    const shown = all.filter((tile) => tile.matches(filter)).sort(order);
    this.#counts.show(all);
    if (!shown.length) this.#body.replaceChildren(el("p", { textContent: t("nobody") }));
    else if (byTeam) arrange(this.#body, this.#teams(shown));
    else arrange(this.#body, [this.#section("", shown)]);
  }

  /** @param {Tile[]} tiles */
  #teams(tiles) {
    const teams = Map.groupBy(tiles, (tile) => tile.student.team || t("no_team"));
    const sorted = [...teams].sort(([a], [b]) => a.localeCompare(b));
    return sorted.map(([team, members]) => this.#section(team, members));
  }

  /**
   * @param {string} team
   * @param {Tile[]} tiles
   */
  #section(team, tiles) {
    const section =
      this.#sections.get(team) ??
      el(
        "section",
        {},
        team ? el("h2", { textContent: team }) : null,
        el("ul", { className: "tiles" }),
      );
    this.#sections.set(team, section);
    const list = section.querySelector("ul");
    if (list)
      arrange(
        list,
        tiles.map((tile) => tile.element),
      );
    return section;
  }
}

const BY_TEAM = "team";

/** What to show and in which order, which the address keeps. */
class Bar {
  #search = el("input", { type: "search" });
  #state = makeSelect([["", t("everybody")], ...stateNames()]);
  #order = makeSelect(ORDER_NAMES);
  #byTeam = el("input", { type: "checkbox" });

  /** @param {() => void} changed */
  constructor(changed) {
    const { filters } = address();
    this.#search.value = filters.get("search") ?? "";
    choose(this.#state, filters.get("state"));
    choose(this.#order, filters.get("sort"));
    this.#byTeam.checked = filters.get("by") === BY_TEAM;
    for (const control of [this.#search, this.#state, this.#order, this.#byTeam])
      control.oninput = () => {
        this.#keep();
        changed();
      };
    this.element = el(
      "div",
      { className: "bar" },
      el("label", {}, `${t("search")} `, this.#search),
      el("label", {}, `${t("show")} `, this.#state),
      el("label", {}, `${t("sort")} `, this.#order),
      el("label", {}, this.#byTeam, ` ${t("by_team")}`),
    );
  }

  #keep() {
    const { value: sort } = this.#order;
    setFilters({
      search: this.#search.value.trim(),
      state: this.#state.value,
      sort: sort === ORDER_NAMES[0][0] ? "" : sort,
      by: this.#byTeam.checked ? BY_TEAM : "",
    });
  }

  get filter() {
    return { state: this.#state.value, text: this.#search.value.trim().toLowerCase() };
  }

  get order() {
    return ORDERS[this.#order.value];
  }

  get byTeam() {
    return this.#byTeam.checked;
  }
}

/**
 * Chooses an option, unless there is none of this value.
 *
 * @param {HTMLSelectElement} select
 * @param {string | null} value
 */
function choose(select, value) {
  if ([...select.options].some((option) => option.value === value)) select.value = value ?? "";
}

/** @returns {[string, string][]} */
function stateNames() {
  return STATES.map((state) => [state, t(`state_${state}`)]);
}
