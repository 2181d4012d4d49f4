// Activity over time, and a slider that goes through the lesson again.

import { call } from "./api.js";
import { ActivityChart, activityTable, isActive, loadCharts, totals } from "./chart.js";
import { ClassReplay } from "./class-replay.js";
import { serverNow } from "./clock.js";
import { alertLine, button, el, failure, setText } from "./dom.js";
import { makeSelect } from "./forms.js";
import { formatTime, t } from "./i18n.js";
import { throttle } from "./throttle.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Interval } from "./types.d.ts" */

const REPLAY_STEP = 400; // ms for an interval while replaying, at least
const RELOAD_PAUSE = 5_000; // ms
const MIN_INTERVALS = 10; // shown, also when less has happened

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 */
export function activityView(root, store, signal) {
  const view = new ActivityView(root, store, signal);
  const reload = throttle(() => view.load(), RELOAD_PAUSE, signal);
  const changed = () => {
    if (view.followsNow) reload();
  };
  store.on(["changed", "loaded"], changed, signal);
  signal.addEventListener("abort", () => view.stop());
  if (store.ready) changed();
}

class ActivityView {
  #store;
  #signal;
  #interval = makeSelect([
    [60, t("every_minute")],
    [300, t("every_5")],
    [3600, t("every_hour")],
  ]);
  #end = el("input", { type: "datetime-local" });
  #canvas = el("canvas", { role: "img", ariaLabel: t("activity") });
  #slider = el("input", { type: "range", min: 0, ariaLabel: t("moment") });
  #play = button(t("replay"));
  #totals = el("p", { className: "totals" });
  #table = el("div", {
    className: "scroll",
    tabIndex: 0,
    role: "region",
    ariaLabel: t("activity"),
  });
  #trouble = alertLine();
  #replay;
  /** @type {ActivityChart | null} */
  #chart = null;
  /** @type {Interval[]} */
  #intervals = [];
  #playing = false;
  #replays = 0; // how often one was begun
  #shown = 0; // the interval that is shown
  #latest = 0; // number of the latest request: answers to earlier ones are ignored

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   */
  constructor(root, store, signal) {
    this.#store = store;
    this.#signal = signal;
    this.#replay = new ClassReplay(store);
    this.#play.onclick = () => this.#togglePlay();
    this.#slider.oninput = () => this.#snap();
    this.#interval.onchange = () => this.load();
    this.#end.onchange = () => this.load();
    root.append(
      el(
        "div",
        { className: "bar" },
        el("label", {}, `${t("interval")} `, this.#interval),
        el("label", {}, `${t("lesson_end")} `, this.#end),
      ),
      this.#trouble,
      el("div", { className: "chart" }, this.#canvas),
      el("div", { className: "bar" }, this.#play, this.#slider),
      this.#totals,
      el("p", { className: "hint", textContent: t("waiting_rule") }),
      this.#replay.element,
      el("details", {}, el("summary", { textContent: t("as_table") }), this.#table),
    );
  }

  /** Whether what happens now belongs into the chart. */
  get followsNow() {
    return !this.#playing && !this.#end.value;
  }

  stop() {
    this.#playing = false;
    this.#chart?.destroy();
  }

  load() {
    return this.#attempt(async () => {
      const number = ++this.#latest;
      const query = new URLSearchParams({ interval: this.#interval.value });
      if (this.#end.value) query.set("until", new Date(this.#end.value).toISOString());
      /** @type {Promise<Interval[]>} */
      const answer = call(`classes/${this.#store.id}/activity?${query}`);
      const [Chart, intervals] = await Promise.all([loadCharts(), answer]);
      if (this.#signal.aborted || number !== this.#latest) return;
      const at = this.#atEnd ? null : this.#intervals[this.#place]?.start ?? null;
      this.#intervals = fromFirstActive(intervals);
      this.#chart ??= new ActivityChart(Chart, this.#canvas);
      this.#chart.relabel(this.#intervals);
      const last = this.#intervals.length - 1;
      this.#slider.max = String(last);
      this.#place = at === null ? last : placeAt(this.#intervals, at);
      this.#table.replaceChildren(activityTable(this.#intervals));
      await this.#show();
    });
  }

  async #show() {
    if (!this.#intervals.length) return;
    const shown = this.#intervals.slice(0, this.#place + 1);
    this.#shown = this.#place;
    const moment = this.#moment;
    this.#slider.ariaValueText = formatTime(moment);
    setText(this.#totals, totals(shown, moment));
    this.#chart?.show(this.#intervals, this.#place, this.#isRunning);
    await this.#attempt(() => this.#replay.show(moment));
  }

  // To the next interval, in the direction of the reader, in which something happened.
  #snap() {
    this.#place = nearestActive(this.#intervals, this.#shown, this.#place);
    return this.#show();
  }

  async #togglePlay() {
    if (!this.#intervals.length) return;
    this.#playing = !this.#playing;
    if (!this.#playing) return;
    const number = ++this.#replays;
    setText(this.#play, t("pause"));
    if (this.#atEnd) this.#place = this.#intervals.findIndex(isActive);
    while (this.#playing) {
      await Promise.all([this.#show(), new Promise((done) => setTimeout(done, REPLAY_STEP))]);
      if (number !== this.#replays) return;
      if (this.#atEnd) this.#playing = false;
      else if (this.#playing) this.#place += 1;
    }
    setText(this.#play, t("replay"));
  }

  /** @param {() => Promise<void>} task */
  async #attempt(task) {
    try {
      await task();
      this.#trouble.textContent = "";
    } catch (error) {
      this.#trouble.textContent = failure(error);
    }
  }

  // The slider stands at this interval.
  get #place() {
    return Number(this.#slider.value);
  }

  set #place(place) {
    this.#slider.value = String(place);
  }

  get #atEnd() {
    return this.#slider.value === this.#slider.max;
  }

  // Whether the last interval goes on.
  get #isRunning() {
    const { start } = this.#intervals[this.#intervals.length - 1];
    return Date.parse(start) + 1000 * Number(this.#interval.value) > serverNow();
  }

  // The end of that interval, in ms.
  get #moment() {
    const start = Date.parse(this.#intervals[this.#place].start);
    return Math.min(start + 1000 * Number(this.#interval.value), serverNow());
  }
}

/**
 * @param {Interval[]} intervals
 * @param {number} from the place where the slider was
 * @param {number} to where it is
 */
function nearestActive(intervals, from, to) {
  if (to >= from) {
    const next = intervals.findIndex((each, place) => place >= to && isActive(each));
    return next < 0 ? intervals.length - 1 : next;
  }
  return Math.max(
    0,
    intervals.findLastIndex((each, place) => place <= to && isActive(each)),
  );
}

/**
 * The interval that a moment is in; the first where it is before them all.
 *
 * @param {Interval[]} intervals
 * @param {string} at
 */
function placeAt(intervals, at) {
  const place = intervals.findLastIndex((each) => Date.parse(each.start) <= Date.parse(at));
  return Math.max(0, place);
}

// Without the quiet time before the lesson.
/** @param {Interval[]} intervals */
function fromFirstActive(intervals) {
  const first = intervals.findIndex(isActive);
  return intervals.slice(Math.max(0, Math.min(first, intervals.length - MIN_INTERVALS)));
}
