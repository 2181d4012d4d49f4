// All classes of a teacher at a glance, each a link into the class.

import { all } from "./api.js";
import { serverNow } from "./clock.js";
import { IDLE_SECONDS } from "./config.js";
import { alertLine, el, failure, setText } from "./dom.js";
import { ago, t } from "./i18n.js";
import { throttle } from "./throttle.js";

/** @import { Class, ClassNow } from "./types.d.ts" */

const RELOAD_PAUSE = 10_000; // ms
const TICK = 1_000; // ms

/**
 * @param {HTMLElement} root
 * @param {Class[]} classes
 * @param {AbortSignal} signal
 */
export function overviewView(root, classes, signal) {
  const view = new OverviewView(root, classes);
  const reload = throttle(() => view.load(), RELOAD_PAUSE, signal);
  const timer = setInterval(() => {
    view.age();
    reload();
  }, TICK);
  signal.addEventListener("abort", () => clearInterval(timer));
  reload();
}

class OverviewView {
  #classes;
  #table = el("div");
  #trouble = alertLine();
  /** @type {Map<number, Row>} */
  #rows = new Map(); // by class_id

  /**
   * @param {HTMLElement} root
   * @param {Class[]} classes
   */
  constructor(root, classes) {
    this.#classes = classes;
    root.classList.add("all-classes");
    root.append(
      el("h2", { textContent: t("all_classes") }),
      this.#trouble,
      this.#table,
      ended(classes.filter((each) => !each.is_active)),
    );
  }

  async load() {
    try {
      /** @type {ClassNow[]} */
      const shown = await all("overview");
      this.#trouble.textContent = "";
      this.#show(shown);
    } catch (error) {
      this.#trouble.textContent = failure(error);
    }
  }

  /** @param {ClassNow[]} shown */
  #show(shown) {
    const demos = new Set(this.#classes.filter((each) => each.is_demo).map((each) => each.id));
    const ids = shown.map((each) => each.class_id);
    if (!ids.length) this.#table.replaceChildren(el("p", { textContent: t("no_open_classes") }));
    else if (ids.join() !== [...this.#rows.keys()].join()) {
      this.#rows = new Map(shown.map((each) => [each.class_id, new Row(each, demos)]));
      this.#table.replaceChildren(tableOf([...this.#rows.values()]));
    }
    for (const each of shown) this.#rows.get(each.class_id)?.show(each);
  }

  age() {
    for (const row of this.#rows.values()) row.age();
  }
}

/** @param {Row[]} rows */
function tableOf(rows) {
  /** @param {"class" | "students" | "not_idle" | "state_stuck" | "open_calls" | "last_heard"} name */
  const heading = (name) => el("th", { scope: "col", textContent: t(name) });
  return el(
    "div",
    { className: "scroll card", tabIndex: 0, role: "region", ariaLabel: t("all_classes") },
    el(
      "table",
      { className: "people overview" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heading("class"),
          heading("open_calls"),
          heading("state_stuck"),
          heading("not_idle"),
          heading("students"),
          heading("last_heard"),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((row) => row.element),
      ),
    ),
    el("p", {
      className: "hint",
      textContent: t("overview_rule", Math.round(IDLE_SECONDS / 60)),
    }),
  );
}

class Row {
  #link = el("a");
  #calls = el("a");
  #stuck = el("span");
  #active = el("td");
  #students = el("td");
  #heard = el("td");
  #heardAt = 0; // ms, 0: never
  #demos;

  /**
   * @param {ClassNow} shown
   * @param {Set<number>} demos ids of classes
   */
  constructor({ class_id: id }, demos) {
    this.#demos = demos;
    this.#link.href = `#/class/${id}`;
    this.#calls.href = `#/class/${id}/help`;
    this.element = el(
      "tr",
      {},
      el("th", { scope: "row" }, this.#link),
      el("td", {}, this.#calls),
      el("td", {}, this.#stuck),
      this.#active,
      this.#students,
      this.#heard,
    );
  }

  /** @param {ClassNow} shown */
  show({ class_id: id, name, students, active, stuck, calls, last_heard_at: heardAt }) {
    setText(this.#link, this.#demos.has(id) ? t("demo_name", name) : name);
    setText(this.#calls, String(calls));
    this.#calls.className = calls ? "badge" : "zero";
    setText(this.#stuck, String(stuck));
    this.#stuck.className = stuck ? "stuck" : "zero";
    setText(this.#active, String(active));
    setText(this.#students, String(students));
    this.#heardAt = heardAt ? Date.parse(heardAt) : 0;
    this.age();
  }

  age() {
    setText(this.#heard, this.#heardAt ? ago(serverNow() - this.#heardAt) : t("never"));
  }
}

/** @param {Class[]} classes */
function ended(classes) {
  const links = classes.map((each) =>
    el("li", {}, el("a", { href: `#/class/${each.id}`, textContent: each.name })),
  );
  return el(
    "details",
    { hidden: !links.length },
    el("summary", { textContent: t("ended_classes", links.length) }),
    el("ul", { className: "plain" }, links),
  );
}
