// A notebook's cells by students. Built once, then only what has changed is touched.

import { el, set } from "./dom.js";
import { cellName, t } from "./texts.js";

const SUMMARY = {
  success_rate: ({ ran, succeeded }) => (ran ? `${Math.round((100 * succeeded) / ran)} %` : ""),
  attempts: (cell) => String(cell.attempts_median ?? ""),
  time: (cell) => duration(cell.duration_median_ms),
  top_errors: ({ frequent_errors: errors }) =>
    errors.map((each) => `${each.error} (${each.students.length})`).join("\n"),
};

export class HeatMap {
  element = el("div");
  #store;
  #shape = "";
  #marks = new Map(); // by student and cell
  #summaries = new Map(); // by name and cell

  constructor(store) {
    this.#store = store;
  }

  show(notebook, reached) {
    const students = [...this.#store.students.values()];
    const shape = JSON.stringify([
      notebook.notebook_path,
      notebook.cells.map((cell) => [cell.cell_id, cell.position]),
      students.map((student) => [student.student_id, student.name]),
    ]);
    if (shape !== this.#shape) this.#build(notebook, students);
    this.#shape = shape;
    const found = new Map(reached.map((cell) => [`${cell.student_id} ${cell.cell_id}`, cell]));
    for (const [key, shown] of this.#marks) fill(shown, mark(found.get(key)));
    for (const cell of notebook.cells)
      for (const [name, tell] of Object.entries(SUMMARY))
        set(this.#summaries.get(`${name} ${cell.cell_id}`), tell(cell));
  }

  #build({ notebook_path: path, cells }, students) {
    this.#marks.clear();
    this.#summaries.clear();
    const kept = (places, key, shown) => {
      places.set(key, shown);
      return shown;
    };
    const summary = (name) =>
      el(
        "tr",
        { className: "summary" },
        el("th", { scope: "row", textContent: t(name) }),
        cells.map((cell) => kept(this.#summaries, `${name} ${cell.cell_id}`, el("td"))),
      );
    const row = (student) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, link(this.#store, student)),
        cells.map((cell) => kept(this.#marks, `${student.student_id} ${cell.cell_id}`, empty())),
      );
    const columns = cells.map((cell) =>
      el("th", { scope: "col", textContent: cellName(cell.position), title: cell.cell_id }),
    );
    const head = el("thead", {}, el("tr", {}, el("td"), columns), Object.keys(SUMMARY).map(summary));
    this.element.replaceChildren(
      el(
        "table",
        { className: "heatmap" },
        el("caption", { textContent: path }),
        head,
        el("tbody", {}, students.map(row)),
      ),
    );
  }
}

// What a cell of the map shows: a mark for the eye, words for all others.
function mark(cell) {
  if (!cell) return ["none", "·", t("not_reached")];
  if (cell.succeeded) {
    const sign = cell.attempts > 1 ? `✓${cell.attempts}` : "✓";
    return ["success", sign, t("succeeded_n", cell.attempts)];
  }
  if (cell.errors) return ["failed", `✗${cell.errors}`, t("failed_n", cell.errors)];
  return ["reached", "○", t("reached")];
}

function empty() {
  return el(
    "td",
    { className: "heat" },
    el("span", { ariaHidden: "true" }),
    el("span", { className: "unseen" }),
  );
}

function fill(shown, [kind, sign, words]) {
  if (shown.title === words) return;
  shown.title = words;
  shown.dataset.kind = kind;
  set(shown.firstChild, sign);
  set(shown.lastChild, words);
}

function link(store, student) {
  return el("a", {
    href: `#/class/${store.id}/student/${student.student_id}`,
    textContent: student.name ?? student.user_id,
  });
}

function duration(ms) {
  if (ms === null) return "";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function legend() {
  const kinds = [
    ["none", "·", t("not_reached")],
    ["reached", "○", t("reached")],
    ["failed", "✗2", t("failed_n", 2)],
    ["success", "✓3", t("succeeded_n", 3)],
  ];
  return el(
    "p",
    { className: "hint legend" },
    kinds.flatMap(([kind, sign, words]) => {
      const box = el("span", { className: "heat", textContent: sign });
      box.dataset.kind = kind;
      return el("span", {}, box, ` ${words}`);
    }),
  );
}
