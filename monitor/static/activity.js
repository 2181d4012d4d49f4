// Activity over time, and a slider that goes through the lesson again. Charts by Chart.js.

import { call } from "./api.js";
import { el, set } from "./dom.js";
import { t, when } from "./texts.js";

const STEP = 400; // ms for an interval while replaying
const SERIES = [
  ["executions", "--active"],
  ["errors", "--error"],
  ["helps", "--help"],
];
let library = null;

function chartLibrary() {
  library ??= new Promise((resolve, reject) => {
    const script = el("script", { src: "page/Chart.bundle.js" });
    script.onload = () => resolve(globalThis.Chart);
    script.onerror = () => reject(new Error("Chart.js"));
    document.head.append(script);
  });
  return library;
}

export function activityView(root, store) {
  const option = (value, text) => el("option", { value, textContent: text });
  const interval = el(
    "select",
    {},
    option(60, t("every_minute")),
    option(300, t("every_5")),
    option(3600, t("every_hour")),
  );
  const refresh = el("button", { type: "button", textContent: t("refresh") });
  const canvas = el("canvas", { role: "img", ariaLabel: t("activity") });
  const slider = el("input", { type: "range", min: 0, ariaLabel: t("replay") });
  const play = el("button", { type: "button", textContent: t("replay") });
  const told = el("p", { className: "told" });
  const table = el("div", { className: "scroll", tabIndex: 0 });
  const trouble = el("p", { className: "trouble", role: "alert" });
  let chart = null;
  let found = [];
  let timer = 0;
  let gone = false;

  const stop = () => {
    clearInterval(timer);
    timer = 0;
    set(play, t("replay"));
  };
  const show = () => {
    const until = Number(slider.value);
    const past = found.slice(0, until + 1);
    const sum = (name) => past.reduce((total, each) => total + each[name], 0);
    set(
      told,
      t("until", when(past.at(-1)?.start ?? Date.now()), ...SERIES.map(([name]) => sum(name))),
    );
    SERIES.forEach(([name], place) => {
      chart.data.datasets[place].data = found.map((each, index) =>
        index <= until ? each[name] : null,
      );
    });
    chart.update("none");
  };
  const load = async () => {
    stop();
    try {
      const [Chart, activity] = await Promise.all([
        chartLibrary(),
        call(`classes/${store.id}/activity?interval=${interval.value}`),
      ]);
      if (gone) return;
      found = sinceFirst(activity);
      chart?.destroy();
      chart = new Chart(canvas, configuration(found));
      slider.max = found.length - 1;
      slider.value = slider.max;
      table.replaceChildren(asTable(found));
      show();
    } catch (error) {
      trouble.textContent = t("failed", error.message);
    }
  };
  play.onclick = () => {
    if (timer) return stop();
    if (slider.value === slider.max)
      slider.value = found.findIndex((each) => each.executions + each.helps);
    set(play, t("pause"));
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (slider.value === slider.max) stop();
    }, STEP);
  };
  slider.oninput = show;
  interval.onchange = load;
  refresh.onclick = load;
  root.append(
    el("div", { className: "bar" }, el("label", {}, `${t("interval")} `, interval), refresh),
    trouble,
    el("div", { className: "chart" }, canvas),
    el("div", { className: "bar" }, play, slider),
    told,
    el("details", {}, el("summary", { textContent: t("as_table") }), table),
  );
  load();
  return () => {
    gone = true;
    stop();
    chart?.destroy();
  };
}

// Without the quiet time before the lesson.
function sinceFirst(activity) {
  const first = activity.findIndex((each) => each.executions + each.helps);
  return activity.slice(Math.max(0, Math.min(first, activity.length - 10)));
}

function configuration(found) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const datasets = SERIES.map(([name, property], place) => ({
    label: t(name),
    data: [],
    backgroundColor: colour(property),
    borderColor: colour(property),
    type: place ? "line" : "bar",
    pointStyle: ["rect", "triangle", "rectRot"][place],
    pointRadius: 4,
    order: -place,
  }));
  const ticks = { color: colour("--text") };
  return {
    type: "bar",
    data: {
      labels: found.map((each) =>
        new Date(each.start).toLocaleTimeString([], { timeStyle: "short" }),
      ),
      datasets,
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      scales: {
        x: { ticks },
        y: {
          ticks: { ...ticks, precision: 0 },
          beginAtZero: true,
          suggestedMax: Math.max(1, ...found.map((each) => each.executions)),
        },
      },
      plugins: { legend: { labels: { color: colour("--text"), usePointStyle: true } } },
    },
  };
}

function asTable(found) {
  const active = found.filter((each) => each.executions + each.helps);
  return el(
    "table",
    {},
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("td"),
        ...SERIES.map(([name]) => el("th", { scope: "col", textContent: t(name) })),
      ),
    ),
    el(
      "tbody",
      {},
      ...active.map((each) =>
        el(
          "tr",
          {},
          el("th", { scope: "row", textContent: when(each.start) }),
          ...SERIES.map(([name]) => el("td", { textContent: each[name] })),
        ),
      ),
    ),
  );
}
