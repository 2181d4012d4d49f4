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

  /** @param {Partial<Duty>} part */
  async #take(part) {
    try {
      await this.#store.duties.take(part);
    } catch (error) {
      toast(failure(error));
      this.#shownParts = ""; // the box shows what was not taken
      this.#show();
    }
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
    if (!mine || shown === this.#shownParts) return;
    this.#shownParts = shown;
    const focused = [...this.#parts.querySelectorAll("input")].indexOf(
      /** @type {HTMLInputElement} */ (document.activeElement),
    );
    this.#parts.replaceChildren(
      this.#legend,
      ...rows.map((row) =>
        box(t("seat_row", rowName(row)), mine.seat_rows.includes(row), (isOn) =>
          this.#take({ seat_rows: toggled(mine.seat_rows, row, isOn) }),
        ),
      ),
      ...teams.map((team) =>
        box(team, mine.teams.includes(team), (isOn) =>
          this.#take({ teams: toggled(mine.teams, team, isOn) }),
        ),
      ),
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
 * @param {Value[]} values
 * @param {Value} value
 * @param {boolean} isOn
 */
function toggled(values, value, isOn) {
  const others = values.filter((each) => each !== value);
  return isOn ? [...others, value] : others;
}

/**
 * @param {string} text
 * @param {boolean} checked
 * @param {(isOn: boolean) => void} change
 */
function box(text, checked, change) {
  const input = el("input", { type: "checkbox", checked });
  input.onchange = () => change(input.checked);
  return el("label", {}, input, ` ${text}`);
}
