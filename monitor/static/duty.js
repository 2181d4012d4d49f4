// Who is in the class besides oneself, and the part that one looks after, to be chosen.

import { el, failure, joinFacts, setText, toast } from "./dom.js";
import { t } from "./i18n.js";
import { rowName } from "./seat-plan.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Duty } from "./types.d.ts" */

export class DutyBar {
  #store;
  #here = el("p", { className: "hint" });
  #legend = el("legend", { textContent: t("my_part") });
  #parts = el("fieldset", { className: "parts", hidden: true }, this.#legend);
  #shownParts = "";
  /** @type {Map<number, HTMLInputElement>} */
  #rows = new Map(); // by row of seats
  /** @type {Map<string, HTMLInputElement>} */
  #teams = new Map(); // by name
  #isTaking = false;
  #takesAgain = false;
  element = el("div", { className: "duty" }, this.#here, this.#parts);

  /**
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   */
  constructor(store, signal) {
    this.#store = store;
    store.on(["duties", "loaded", "room"], () => this.#show(), signal);
    this.#show();
  }

  // Takes all that is ticked. One call after another, or the earlier might be the last to be stored.
  async #take() {
    this.#takesAgain = true;
    if (this.#isTaking) return;
    this.#isTaking = true;
    try {
      while (this.#takesAgain) {
        this.#takesAgain = false;
        await this.#store.duties.take(this.#ticked);
      }
    } catch (error) {
      toast(failure(error));
      this.#shownParts = ""; // a box shows what was not taken
    }
    this.#isTaking = false;
    this.#show();
  }

  get #ticked() {
    return { seat_rows: ticked(this.#rows), teams: ticked(this.#teams) };
  }

  #show() {
    const here = this.#store.duties.teachers.map((duty) => {
      const part = partText(duty);
      return part ? t("teacher_with_part", duty.name, part) : duty.name;
    });
    setText(this.#here, here.length ? t("teachers_here", joinFacts(here)) : "");
    this.#showParts();
  }

  #showParts() {
    const students = [...this.#store.students.values()];
    const rows = distinct(students.map((student) => student.seat_row)).sort((a, b) => a - b);
    const teams = distinct(students.map((student) => student.team)).sort();
    const { mine } = this.#store.duties;
    const isShared = rows.length > 1 || teams.length > 1;
    this.#parts.hidden = !isShared || !mine;
    const shown = JSON.stringify([rows, teams, mine]);
    if (!mine || this.#isTaking || shown === this.#shownParts) return;
    this.#shownParts = shown;
    const focused = [...this.#parts.querySelectorAll("input")].indexOf(
      /** @type {HTMLInputElement} */ (document.activeElement),
    );
    const take = () => this.#take();
    this.#rows = new Map(rows.map((row) => [row, box(mine.seat_rows.includes(row), take)]));
    this.#teams = new Map(teams.map((team) => [team, box(mine.teams.includes(team), take)]));
    this.#parts.replaceChildren(
      this.#legend,
      ...[...this.#rows].map(([row, input]) => labelled(input, t("seat_row", rowName(row)))),
      ...[...this.#teams].map(([team, input]) => labelled(input, team)),
    );
    this.#parts.querySelectorAll("input")[focused]?.focus();
  }
}

/** @param {Duty} duty */
function partText({ seat_rows: rows, teams }) {
  return [...rows.map((row) => t("seat_row", rowName(row))), ...teams].join(t("list_separator"));
}

/**
 * @template Value
 * @param {(Value | null | undefined)[]} values
 * @returns {Value[]}
 */
function distinct(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return [...new Set(known)].filter((value) => value !== "");
}

/**
 * @template Value
 * @param {Map<Value, HTMLInputElement>} boxes
 */
function ticked(boxes) {
  return [...boxes.keys()].filter((value) => boxes.get(value)?.checked);
}

/**
 * @param {boolean} checked
 * @param {() => void} onchange
 */
function box(checked, onchange) {
  return el("input", { type: "checkbox", checked, onchange });
}

/**
 * @param {HTMLInputElement} input
 * @param {string} text
 */
function labelled(input, text) {
  return el("label", {}, input, ` ${text}`);
}
