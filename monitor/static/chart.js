// A class's activity as a chart, by Chart.js, and as a table.

import { el } from "./dom.js";
import { formatTime, language, t } from "./i18n.js";

/** @import { ChartConstructor, Interval } from "./types.d.ts" */

/** @typedef {"executions" | "errors" | "waiting"} Series */

/** @type {{ name: Series, text: "executions" | "errors" | "students_waiting", colour: string, point: string }[]} */
const SERIES = [
  { name: "executions", text: "executions", colour: "--active", point: "rect" },
  { name: "errors", text: "errors", colour: "--error", point: "triangle" },
  { name: "waiting", text: "students_waiting", colour: "--help", point: "rectRot" },
];

/** @type {Promise<ChartConstructor> | null} */
let library = null;

/** Loads Chart.js once, as a script that defines a global. */
export function loadCharts() {
  library ??= new Promise((resolve, reject) => {
    const script = el("script", { src: "page/Chart.bundle.js" });
    script.onload = () => resolve(Reflect.get(globalThis, "Chart"));
    script.onerror = () => reject(new Error("Chart.js"));
    document.head.append(script);
  });
  return library;
}

/** @param {Interval} interval */
export function isActive(interval) {
  return interval.executions + interval.waiting > 0;
}

export class ActivityChart {
  #chart;

  /**
   * @param {ChartConstructor} Chart
   * @param {HTMLCanvasElement} canvas
   */
  constructor(Chart, canvas) {
    this.#chart = new Chart(canvas, configuration());
  }

  /** @param {Interval[]} intervals */
  relabel(intervals) {
    const { data, options } = this.#chart;
    data.labels = intervals.map((each) =>
      new Date(each.start).toLocaleTimeString(language, { timeStyle: "short" }),
    );
    options.scales.y.suggestedMax = Math.max(1, ...intervals.map((each) => each.executions));
  }

  /**
   * @param {Interval[]} intervals
   * @param {number} last place of the last one to show
   * @param {boolean} isRunning whether the last of all goes on: it is hatched
   */
  show(intervals, last, isRunning) {
    const { datasets } = this.#chart.data;
    SERIES.forEach(({ name }, place) => {
      datasets[place].data = intervals.map((each, index) => (index <= last ? each[name] : null));
    });
    const running = isRunning ? intervals.length - 1 : -1;
    const [{ colour }] = SERIES;
    const [full, hatched] = [colourOf(colour), hatch(colourOf(colour))];
    datasets[0].backgroundColor = intervals.map((_, place) => (place === running ? hatched : full));
    this.#chart.update("none");
  }

  destroy() {
    this.#chart.destroy();
  }
}

/**
 * In words: all runs and errors, and the most students who waited in an interval.
 *
 * @param {Interval[]} intervals
 * @param {number} until ms
 */
export function totals(intervals, until) {
  const sum = (/** @type {Series} */ name) =>
    intervals.reduce((total, each) => total + each[name], 0);
  const most = Math.max(0, ...intervals.map((each) => each.waiting));
  return t("until", formatTime(until), sum("executions"), sum("errors"), most);
}

// A colour of the style sheet in a form that a canvas takes.
/** @param {string} property */
function colourOf(property) {
  const probe = el("span", { hidden: true });
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

const HATCH = 8; // pixels

/** @param {string} colour */
function hatch(colour) {
  const tile = el("canvas", { width: HATCH, height: HATCH });
  const context = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  context.strokeStyle = colour;
  context.lineWidth = 2;
  for (const start of [-HATCH / 2, HATCH / 2]) {
    context.moveTo(start, HATCH);
    context.lineTo(start + HATCH, 0);
  }
  context.stroke();
  return /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
}

function configuration() {
  const text = colourOf("--text");
  const grid = { color: colourOf("--line") };
  const datasets = SERIES.map(({ text: label, colour, point }, place) => ({
    label: t(label),
    data: [],
    backgroundColor: colourOf(colour),
    borderColor: colourOf(colour),
    type: place ? "line" : "bar",
    pointStyle: point,
    pointRadius: 4,
    order: -place,
  }));
  return {
    type: "bar",
    data: { labels: [], datasets },
    options: {
      animation: false,
      maintainAspectRatio: false,
      scales: {
        x: { grid, ticks: { color: text } },
        y: { grid, ticks: { color: text, precision: 0 }, beginAtZero: true },
      },
      plugins: { legend: { labels: { color: text, usePointStyle: true } } },
    },
  };
}

/**
 * The same as a table, without intervals in which nothing happened.
 *
 * @param {Interval[]} intervals
 */
export function activityTable(intervals) {
  const headings = SERIES.map(({ text }) => el("th", { scope: "col", textContent: t(text) }));
  const rows = intervals.filter(isActive).map((interval) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", textContent: formatTime(interval.start) }),
      SERIES.map(({ name }) => el("td", { textContent: interval[name] })),
    ),
  );
  return el(
    "table",
    {},
    el("thead", {}, el("tr", {}, el("td"), headings)),
    el("tbody", {}, rows),
  );
}
