// Item analysis of an assignment: cell by cell who solved it, after how much, and who is stuck.

import { call } from "./api.js";
import { attemptsHref } from "./attempts.js";
import { cellLabel } from "./cell-label.js";
import { alertLine, el, failure, joinFacts, setText } from "./dom.js";
import { duration, t } from "./i18n.js";
import { throttle } from "./throttle.js";

/** @import { ClassStore } from "./store.js" */
/** @import { AssignmentAnalysis, CellAnalysis } from "./types.d.ts" */

const RELOAD_PAUSE = 5_000; // ms

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 * @param {string} id of the assignment
 */
export function analysisView(root, store, signal, id) {
  const view = new AnalysisView(root, store);
  const load = async () => {
    try {
      /** @type {AssignmentAnalysis} */
      const analysis = await call(`assignments/${id}/analysis`);
      if (!signal.aborted) view.show(analysis);
    } catch (error) {
      view.fail(error);
    }
  };
  const reload = throttle(load, RELOAD_PAUSE, signal);
  store.on(["changed"], reload, signal);
  store.on(["loaded"], () => view.nameStudents(), signal);
  reload();
}

class AnalysisView {
  #store;
  #title = el("h2");
  #facts = el("p", { className: "place" });
  #trouble = alertLine();
  #table = el("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: t("analysis") });
  #version = "";
  /** @type {AssignmentAnalysis | null} */
  #analysis = null;

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   */
  constructor(root, store) {
    this.#store = store;
    const back = { href: `#/class/${store.id}/manage`, textContent: `← ${t("manage")}` };
    root.append(
      el("p", {}, el("a", back)),
      this.#title,
      this.#facts,
      this.#trouble,
      this.#table,
    );
  }

  /** @param {unknown} error */
  fail(error) {
    this.#trouble.textContent = failure(error);
  }

  /** Who the students are may be known only after what they did. */
  nameStudents() {
    if (this.#analysis) this.show(this.#analysis);
  }

  /** @param {AssignmentAnalysis} analysis */
  show(analysis) {
    this.#analysis = analysis;
    this.#trouble.textContent = "";
    const version = JSON.stringify([analysis, this.#store.ready]);
    if (version === this.#version) return;
    this.#version = version;
    setText(this.#title, t("analysis_of", analysis.title));
    setText(this.#facts, `${analysis.notebook_path} · ${factsOf(analysis)}`);
    const open = new Set(
      [...this.#table.querySelectorAll("details[open]")].map((each) => each.id),
    );
    const empty = el("p", { className: "hint", textContent: t("analysis_empty") });
    this.#table.replaceChildren(
      analysis.cells.length ? this.#tableOf(analysis) : empty,
    );
    for (const each of this.#table.querySelectorAll("details")) each.open = open.has(each.id);
  }

  /** @param {AssignmentAnalysis} analysis */
  #tableOf(analysis) {
    /** @type {("a_cell" | "solved" | "not_tried" | "attempts_to_solve" | "solving_time" | "stuck_at" | "unsolved_in")[]} */
    const headings = [
      "solved",
      "not_tried",
      "attempts_to_solve",
      "solving_time",
      "stuck_at",
      "unsolved_in",
    ];
    return el(
      "table",
      { className: "people analysis" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("td"),
          headings.map((name) => el("th", { scope: "col", textContent: t(name) })),
        ),
      ),
      el(
        "tbody",
        {},
        analysis.cells.map((cell) => this.#row(analysis, cell)),
      ),
    );
  }

  /**
   * @param {AssignmentAnalysis} analysis
   * @param {CellAnalysis} cell
   */
  #row(analysis, cell) {
    const href = attemptsHref(this.#store.id, analysis.notebook_id, { place: cell.place });
    const share = el("meter", {
      max: Math.max(1, cell.tried),
      value: cell.solved,
      ariaLabel: t("solved_of", cell.solved, cell.tried),
    });
    const mean = cell.attempts_mean;
    const time = cell.solving_time_median;
    return el(
      "tr",
      {},
      el("th", { scope: "row", title: cell.heading }, el("a", { href }, cellLabel(cell.position, cell.title))),
      el("td", {}, t("solved_of", cell.solved, cell.tried), share),
      el("td", { textContent: analysis.students - cell.tried }),
      el("td", {
        textContent: mean === null ? "" : t("attempts_both", mean, cell.attempts_median ?? ""),
      }),
      el("td", { textContent: time === null ? "" : duration(1000 * time) }),
      el("td", {}, this.#names(`stuck ${cell.place}`, cell.stuck)),
      el("td", {}, this.#names(`unsolved ${cell.place}`, cell.handed_in_unsolved)),
    );
  }

  /**
   * @param {string} id
   * @param {string[]} userIds
   */
  #names(id, userIds) {
    if (!userIds.length) return null;
    const names = userIds.map((userId) => {
      const student = this.#store.students.get(userId);
      const textContent = this.#store.nameOf(userId);
      if (!student) return el("li", { textContent });
      return el("li", {}, el("a", { href: this.#store.hrefOf(student.student_id), textContent }));
    });
    return el(
      "details",
      { id },
      el("summary", { textContent: t("n_students", userIds.length) }),
      el("ul", { className: "plain" }, names),
    );
  }
}

/** @param {AssignmentAnalysis} analysis */
function factsOf({ students, handed_in: handedIn, late, graded, grade_mean: mean, points }) {
  return joinFacts([
    t("handed_in_of", handedIn, students),
    late > 0 && t("handed_in_late", late),
    graded > 0 && t("graded_of", graded),
    mean !== null && (points === null ? t("grade_mean", mean) : t("grade_mean_of", mean, points)),
  ]);
}
