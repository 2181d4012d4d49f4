// A student's tile: the state by colour and shape, where they are, how it goes.

import { serverNow } from "./clock.js";
import { arrange, el, joinFacts, setText } from "./dom.js";
import { ago, cellName, formatTime, t } from "./i18n.js";
import { runText } from "./running.js";
import { shape, showShape } from "./shapes.js";
import { STATES } from "./states.js";

/** @import { ClassStore } from "./store.js" */
/** @import { HelpRequest, State, Student } from "./types.d.ts" */

/**
 * @typedef {object} TileFilter
 * @property {string} state one of the states, or an empty string for all
 * @property {string} text in small letters: part of a name, an id, a team or a path
 */

export class Tile {
  name = "";
  errorsInARow = 0;
  askedAt = 0; // ms, or 0
  taken = false; // whether a teacher has taken the student's request
  #helper = ""; // the teacher who has taken it
  #shape = shape();
  #title = el("strong");
  #verified = verifiedMark();
  #who = el("span", { className: "who" }, this.#title, this.#verified);
  #team = el("span", { className: "team" });
  #what = el("span", { className: "what" });
  #place = el("span", { className: "place" });
  #numbers = el("span", { className: "numbers" });
  #heard = el("span", { className: "heard" });
  #link;
  #store;

  /**
   * @param {ClassStore} store
   * @param {Student} student
   */
  constructor(store, student) {
    this.#store = store;
    this.student = student;
    /** @type {State} */
    this.state = "idle";
    const { user_id: userId, student_id: studentId } = student;
    this.userId = userId;
    this.#link = el(
      "a",
      { href: store.hrefOf(studentId) },
      this.#shape,
      this.#who,
      this.#team,
      this.#what,
      this.#place,
      this.#numbers,
      this.#heard,
    );
    this.element = el("li", { className: "tile" }, this.#link);
  }

  /**
   * @param {Student} student
   * @param {State} state
   * @param {HelpRequest} [request]
   * @param {number} [now] ms
   */
  show(student, state, request, now = serverNow()) {
    this.student = student;
    this.state = state;
    this.name = student.name ?? student.user_id;
    this.errorsInARow = student.errors_in_a_row;
    this.askedAt = request ? Date.parse(request.asked_at) : 0;
    this.taken = Boolean(request?.taken_by);
    this.element.dataset.state = state;
    this.element.classList.toggle("is-taken", this.taken);
    showShape(this.#shape, state);
    setText(this.#title, this.name);
    this.#verified.toggleAttribute("hidden", !student.verified);
    this.#who.title = t(student.verified ? "verified_rule" : "claimed_rule");
    setText(this.#team, student.team ?? "");
    this.#helper = request?.taken_by ?? "";
    setText(this.#place, placeOf(student));
    this.#showTimes(now);
  }

  // What the student does and since when; a run in place of the state, where that says no more.
  /** @param {number} now ms */
  #showTimes(now) {
    const { state, student } = this;
    const run = runText(student, state === "idle", now);
    const isInPlace = Boolean(run) && (state === "active" || state === "idle");
    const text = this.#helper ? t("taken", this.#helper) : t(`state_${state}`);
    const row = this.errorsInARow ? t("in_a_row", this.errorsInARow) : "";
    const heard = student.heard ? ago(now - student.heard) : t("never");
    this.element.classList.toggle("is-running", isInPlace);
    setText(this.#what, isInPlace ? run : text);
    setText(this.#heard, isInPlace ? "" : heard);
    setText(this.#numbers, joinFacts([!isInPlace && run, t("runs", student.executions), row]));
    this.#what.title = student.run ? t("running_since", formatTime(student.run.since)) : "";
  }

  /** Shows that time has passed; returns whether the state has changed by that. */
  age() {
    this.#showTimes(serverNow());
    return this.#store.state(this.student) !== this.state;
  }

  /** @param {TileFilter} filter */
  matches({ state, text }) {
    if (state && this.state !== state) return false;
    const { team, notebook_path: path } = this.student;
    return [this.name, this.userId, team, path].join("\n").toLowerCase().includes(text);
  }
}

function verifiedMark() {
  const mark = shape("finished");
  mark.setAttribute("class", "verified");
  mark.removeAttribute("aria-hidden");
  mark.role = "img";
  mark.ariaLabel = t("verified");
  return mark;
}

/** @param {Student} student */
function placeOf(student) {
  if (!student.notebook_path) return "";
  const file = student.notebook_path.split("/").pop() ?? "";
  if (!student.cell_id) return file;
  const { cell_position: position, cell_title: title, cell_heading: heading } = student;
  return `${file} · ${cellName(position, title, heading)}`;
}

/** How many students are in each state. */
export class StateCounts {
  element = el("p", { className: "counts" });
  #texts = new Map(STATES.map((state) => [state, el("span")]));

  /** @param {Tile[]} tiles */
  show(tiles) {
    if (!this.element.childElementCount) {
      const chips = [...this.#texts].map(([state, text]) =>
        el("span", { className: "chip" }, shape(state), text),
      );
      arrange(this.element, chips);
    }
    for (const [state, text] of this.#texts) {
      const number = tiles.filter((tile) => tile.state === state).length;
      setText(text, `${t(`state_${state}`)} ${number}`);
    }
  }
}
