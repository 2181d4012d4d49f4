// Activity over time, and a slider that goes through the lesson again. Charts by Chart.js.

import { call, serverNow } from "./api.js";
import { el, set } from "./dom.js";
import { paced } from "./pace.js";
import { ClassThen } from "./replay.js";
import { language, t, when } from "./texts.js";

const STEP = 400; // ms for an interval while replaying, at least
const PAUSE = 5_000; // ms between two looks at what happens now
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
  const end = el("input", { type: "datetime-local" });
  const canvas = el("canvas", { role: "img", ariaLabel: t("activity") });
  const slider = el("input", { type: "range", min: 0, ariaLabel: t("moment") });
  const play = el("button", { type: "button", textContent: t("replay") });
  const told = el("p", { className: "told" });
  const table = el("div", { className: "scroll", tabIndex: 0 });
  const trouble = el("p", { className: "trouble", role: "alert" });
  const then = new ClassThen(store);
  let chart = null;
  let found = [];
  let playing = false;
  let gone = false;

  const moment = () => {
    const after = Date.parse(found[Number(slider.value)].start) + interval.value * 1000;
    return Math.min(after, serverNow());
  };
  const show = async () => {
    if (!found.length) return;
    const until = Number(slider.value);
    const past = found.slice(0, until + 1);
    const sum = (name) => past.reduce((total, each) => total + each[name], 0);
    slider.ariaValueText = when(moment());
    set(told, t("until", when(moment()), ...SERIES.map(([name]) => sum(name))));
    SERIES.forEach(([name], place) => {
      chart.data.datasets[place].data = found.map((each, index) =>
        index <= until ? each[name] : null,
      );
    });
    chart.update("none");
    await attempt(() => then.show(moment()));
  };
  const attempt = async (task) => {
    try {
      await task();
      trouble.textContent = "";
    } catch (error) {
      trouble.textContent = t("failed", error.message);
    }
  };
  const load = () =>
    attempt(async () => {
      const at = slider.value === slider.max ? null : found[Number(slider.value)]?.start;
      const query = new URLSearchParams({ interval: interval.value });
      if (end.value) query.set("until", new Date(end.value).toISOString());
      const [Chart, activity] = await Promise.all([
        chartLibrary(),
        call(`classes/${store.id}/activity?${query}`),
      ]);
      if (gone) return;
      found = sinceFirst(activity);
      chart ??= new Chart(canvas, configuration());
      relabel(chart, found);
      const kept = found.findIndex((each) => each.start === at);
      slider.max = found.length - 1;
      slider.value = kept < 0 ? slider.max : kept;
      table.replaceChildren(asTable(found));
      await show();
    });
  const look = paced(load, PAUSE);
  const changed = () => {
    if (!playing && !end.value) look();
  };
  const replay = async () => {
    playing = !playing;
    if (!playing || !found.length) return;
    set(play, t("pause"));
    if (slider.value === slider.max)
      slider.value = found.findIndex((each) => each.executions + each.helps);
    while (playing) {
      await Promise.all([show(), new Promise((done) => setTimeout(done, STEP))]);
      if (slider.value === slider.max) playing = false;
      else if (playing) slider.value = Number(slider.value) + 1;
    }
    set(play, t("replay"));
  };
  play.onclick = replay;
  slider.oninput = show;
  interval.onchange = load;
  end.onchange = load;
  root.append(
    el(
      "div",
      { className: "bar" },
      el("label", {}, `${t("interval")} `, interval),
      el("label", {}, `${t("lesson_end")} `, end),
    ),
    trouble,
    el("div", { className: "chart" }, canvas),
    el("div", { className: "bar" }, play, slider),
    told,
    then.element,
    el("details", {}, el("summary", { textContent: t("as_table") }), table),
  );
  for (const event of ["changed", "loaded"]) store.addEventListener(event, changed);
  if (store.ready) changed();
  return () => {
    gone = true;
    playing = false;
    look.stop();
    for (const event of ["changed", "loaded"]) store.removeEventListener(event, changed);
    chart?.destroy();
  };
}

// Without the quiet time before the lesson.
function sinceFirst(activity) {
  const first = activity.findIndex((each) => each.executions + each.helps);
  return activity.slice(Math.max(0, Math.min(first, activity.length - 10)));
}

function relabel(chart, found) {
  chart.data.labels = found.map((each) =>
    new Date(each.start).toLocaleTimeString(language, { timeStyle: "short" }),
  );
  chart.options.scales.y.suggestedMax = Math.max(1, ...found.map((each) => each.executions));
}

function configuration() {
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
    data: { labels: [], datasets },
    options: {
      animation: false,
      maintainAspectRatio: false,
      scales: {
        x: { ticks },
        y: { ticks: { ...ticks, precision: 0 }, beginAtZero: true },
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
