// A notebook's cells by students. Built once, then only what has changed is touched.

import { attemptsHref } from "./attempts.js";
import { cellLabel } from "./cell-label.js";
import { el, joinFacts, setText } from "./dom.js";
import { moveByArrows } from "./heatmap-keys.js";
import { cellHint, cellName, runTime, t } from "./i18n.js";

/** @import { ClassStore } from "./store.js" */
/** @import { CellProgress, NotebookProgress, Student, StudentCell } from "./types.d.ts" */

/** @typedef {"success_rate" | "attempts" | "time" | "top_errors"} SummaryName */

/** @type {[SummaryName, (cell: CellProgress) => string][]} */
const SUMMARIES = [
  ["success_rate", successRate],
  ["attempts", (cell) => String(cell.attempts_median ?? "")],
  ["time", (cell) => runTime(cell.duration_median_ms)],
  [
    "top_errors",
    ({ frequent_errors: errors }) =>
      errors.map((each) => `${each.error} (${each.students.length})`).join("\n"),
  ],
];

/** @typedef {[kind: string, sign: string, words: string]} Mark */

export class HeatMap {
  element = el("div");
  #store;
  #version = "";
  /** @type {Map<string, MarkCell>} */
  #marks = new Map(); // by student and cell
  /** @type {Map<string, HTMLTableCellElement>} */
  #summaries = new Map(); // by name and cell

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
  }

  /**
   * @param {NotebookProgress} notebook
   * @param {StudentCell[]} reached
   */
  show(notebook, reached) {
    const students = [...this.#store.students.values()];
    const version = JSON.stringify([
      notebook.notebook_path,
      notebook.cells.map(({ place, position, title, heading }) => [place, position, title, heading]),
      hasTimes(notebook),
      notebook.more_cells,
      students.map((student) => [student.student_id, student.name]),
    ]);
    if (version !== this.#version) this.#build(notebook, students);
    this.#version = version;
    const byKey = new Map(reached.map((cell) => [keyOf(cell.student_id, cell), cell]));
    for (const [key, shown] of this.#marks) shown.show(markOf(byKey.get(key)));
    for (const cell of notebook.cells) {
      for (const [name, summarize] of SUMMARIES) {
        const shown = this.#summaries.get(keyOf(name, cell));
        if (shown) setText(shown, summarize(cell));
      }
    }
  }

  /**
   * @param {NotebookProgress} notebook
   * @param {Student[]} students
   */
  #build(notebook, students) {
    const { notebook_id: notebookId, notebook_path: path, cells, more_cells: more } = notebook;
    this.#marks.clear();
    this.#summaries.clear();
    const columns = cells.map((cell) => {
      const href = attemptsHref(this.#store.id, notebookId, { place: cell.place });
      return el("th", { scope: "col", title: titleOf(cell) }, el("a", { href }, labelOf(cell)));
    });
    const shown = SUMMARIES.filter(([name]) => name !== "time" || hasTimes(notebook));
    const summaries = shown.map(([name]) => this.#summaryRow(name, cells));
    const rows = students.map((student) => this.#studentRow(student, notebookId, cells));
    const table = el(
      "table",
      { className: "heatmap" },
      el("caption", { textContent: joinFacts([path, more ? t("more_cells", more) : null]) }),
      el("thead", {}, headingsRow(cells), el("tr", { className: "cells" }, el("td"), columns), summaries),
      el("tbody", {}, rows),
    );
    moveByArrows(table);
    this.element.replaceChildren(table);
  }

  /**
   * @param {SummaryName} name
   * @param {CellProgress[]} cells
   */
  #summaryRow(name, cells) {
    const heading = el("th", { scope: "row", textContent: t(name) });
    const row = el("tr", { className: "summary" }, heading);
    for (const cell of cells) {
      const shown = el("td");
      this.#summaries.set(keyOf(name, cell), shown);
      row.append(shown);
    }
    return row;
  }

  /**
   * @param {Student} student
   * @param {number} notebookId
   * @param {CellProgress[]} cells
   */
  #studentRow(student, notebookId, cells) {
    const { student_id: id, user_id: userId } = student;
    const name = student.name ?? userId;
    const link = el("a", { href: this.#store.hrefOf(id), textContent: name });
    const row = el("tr", {}, el("th", { scope: "row" }, link));
    for (const cell of cells) {
      const href = attemptsHref(this.#store.id, notebookId, { place: cell.place, student: id });
      const shown = new MarkCell(href, name, wordsOf(cell));
      this.#marks.set(keyOf(student.student_id, cell), shown);
      row.append(shown.element);
    }
    return row;
  }
}

/**
 * @param {string | number} row
 * @param {{ place: string }} cell
 */
function keyOf(row, cell) {
  return `${row} ${cell.place}`;
}

// Added by students before the cell at that position: it has no number of its own.
/** @param {CellProgress} cell */
function labelOf({ place, position, title }) {
  return place.startsWith("added:") ? "+" : cellLabel(position, title);
}

/** @param {CellProgress} cell */
function wordsOf({ place, position, title, heading }) {
  if (place.startsWith("added:")) return t("added_cells", cellName(position));
  return cellName(position, title, heading);
}

/** @param {CellProgress} cell */
function titleOf(cell) {
  const { place, cell_id: id, position, title } = cell;
  const isPlaced = id === null && !place.startsWith("added:");
  return joinFacts([wordsOf(cell), cellHint(position, title), isPlaced && t("placed_cell")]);
}

// Whether the client measures how long a cell runs: some say 0 of each.
/** @param {NotebookProgress} notebook */
function hasTimes({ cells }) {
  return cells.some((cell) => runTime(cell.duration_median_ms));
}

// A heading above the cells that stand below it; no row where none is known.
/** @param {CellProgress[]} cells */
function headingsRow(cells) {
  if (!cells.some((cell) => cell.heading)) return null;
  /** @type {{ heading: string | null, cells: number }[]} */
  const groups = [];
  for (const { heading } of cells) {
    const last = groups.at(-1);
    if (last && last.heading === heading) last.cells += 1;
    else groups.push({ heading, cells: 1 });
  }
  const shown = groups.map(({ heading, cells: colSpan }) =>
    heading
      ? el("th", { scope: "colgroup", colSpan, title: heading }, el("span", { textContent: heading }))
      : el("td", { colSpan }),
  );
  return el("tr", { className: "headings" }, el("td"), shown);
}

/** A cell of the map: a sign for the eye, the words for screen readers; it leads to the attempts. */
class MarkCell {
  #link;
  #name;
  #place;
  element;

  /**
   * @param {string} href
   * @param {string} name of the student
   * @param {string} place
   */
  constructor(href, name, place) {
    this.#name = name;
    this.#place = place;
    this.#link = el("a", { href, tabIndex: -1 });
    this.element = el("td", { className: "heat" }, this.#link);
  }

  /** @param {Mark} mark */
  show([kind, sign, words]) {
    if (this.element.title === words) return;
    this.element.title = words;
    this.element.dataset.kind = kind;
    this.#link.ariaLabel = t("mark_of", this.#name, this.#place, words);
    setText(this.#link, sign);
  }
}

/**
 * @param {StudentCell | undefined} cell
 * @returns {Mark}
 */
function markOf(cell) {
  if (!cell) return ["none", "·", t("not_reached")];
  if (cell.succeeded) return succeeded(cell.attempts ?? 1);
  return cell.errors ? failed(cell.errors) : ["reached", "○", t("reached")];
}

/**
 * @param {number} attempts
 * @returns {Mark}
 */
function succeeded(attempts) {
  return ["success", attempts > 1 ? `✓${attempts}` : "✓", t("succeeded_n", attempts)];
}

/**
 * @param {number} errors
 * @returns {Mark}
 */
function failed(errors) {
  return ["failed", `✗${errors}`, t("failed_n", errors)];
}

/** @param {CellProgress} cell */
function successRate({ ran, succeeded: successes }) {
  return ran ? `${Math.round((100 * successes) / ran)} %` : "";
}

/** What the signs mean. */
export function legend() {
  /** @type {Mark[]} */
  const marks = [
    ["none", "·", t("not_reached")],
    ["reached", "○", t("reached")],
    failed(2),
    succeeded(3),
  ];
  return el(
    "p",
    { className: "hint legend" },
    marks.map(([kind, sign, words]) =>
      el("span", {}, el("span", { className: "heat", "data-kind": kind }, sign), ` ${words}`),
    ),
  );
}
