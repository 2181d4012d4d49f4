// Several teachers in a class: who is here, and which part of the class each looks after.

import { call, send } from "./api.js";
import { serverNow } from "./clock.js";
import { el, failure, joinFacts, setText, toast } from "./dom.js";
import { t } from "./i18n.js";
import { teacherName } from "./teacher-name.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Duties, Duty, HelpRequest, Student } from "./types.d.ts" */

const SIGN_INTERVAL = 30_000; // ms; the server takes a teacher for gone after three of them
const OVERDUE = 5 * 60_000; // ms; a call that has waited for so long is for all teachers

export class DutyBar {
  #store;
  #changed;
  /** @type {Duty[]} */
  #teachers = [];
  #here = el("p", { className: "hint" });
  #legend = el("legend", { textContent: t("my_part") });
  #parts = el("fieldset", { className: "parts", hidden: true }, this.#legend);
  #shownParts = "";
  element = el("div", { className: "duty" }, this.#here, this.#parts);

  /**
   * @param {ClassStore} store
   * @param {() => void} changed
   * @param {AbortSignal} signal
   */
  constructor(store, changed, signal) {
    this.#store = store;
    this.#changed = changed;
    store.on(["duties"], (duties) => this.#set(duties), signal);
    store.on(["loaded"], () => this.#show(), signal); // the parts of the class
    const timer = setInterval(() => this.sign(), SIGN_INTERVAL);
    signal.addEventListener("abort", () => clearInterval(timer));
    this.sign();
  }

  /**
   * Says that the teacher is here; without a name only looks who is.
   *
   * @param {Partial<Duty>} [part] which they look after from now on
   */
  async sign(part = {}) {
    const path = `classes/${this.#store.id}/duties`;
    const name = teacherName();
    try {
      this.#set(name ? await send("PUT", path, { name, ...part }) : await call(path));
    } catch (error) {
      this.#show();
      if (Object.keys(part).length) toast(failure(error)); // the next sign is given anyway
    }
  }

  /**
   * Whether another teacher who is here looks after the student who calls. Nobody does where it is in no
   * part, and everybody does once it is overdue.
   *
   * @param {HelpRequest} request
   */
  isOfOthers({ user_id: userId, asked_at: askedAt }) {
    const student = this.#store.students.get(userId);
    if (!student || serverNow() - Date.parse(askedAt) > OVERDUE) return false;
    const theirs = this.#teachers.filter((duty) => isIn(duty, student));
    return theirs.length > 0 && !theirs.some(({ name }) => name === teacherName());
  }

  /** @param {Duties} duties */
  #set({ teachers }) {
    this.#teachers = teachers;
    this.#show();
    this.#changed();
  }

  #show() {
    const here = this.#teachers.map((duty) => {
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
    const mine = this.#teachers.find(({ name }) => name === teacherName());
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
        box(t("seat_row", row), mine.seat_rows.includes(row), (isOn) =>
          this.sign({ seat_rows: toggled(mine.seat_rows, row, isOn) }),
        ),
      ),
      ...teams.map((team) =>
        box(team, mine.teams.includes(team), (isOn) =>
          this.sign({ teams: toggled(mine.teams, team, isOn) }),
        ),
      ),
    );
    this.#parts.querySelectorAll("input")[focused]?.focus();
  }
}

/**
 * @param {Duty} duty
 * @param {Student} student
 */
function isIn({ seat_rows: rows, teams }, { seat_row: row, team }) {
  return (row ? rows.includes(row) : false) || (team ? teams.includes(team) : false);
}

/** @param {Duty} duty */
function partText({ seat_rows: rows, teams }) {
  return [...rows.map((row) => t("seat_row", row)), ...teams].join(t("list_separator"));
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
