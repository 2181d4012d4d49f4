// The class is stuck: errors of the last minutes, by cell and kind.

import { arrange, el, set, toast } from "./dom.js";
import { cellName, t } from "./texts.js";

export function threshold(students) {
  return Math.max(3, Math.ceil(students / 5));
}

function key(group) {
  return JSON.stringify([group.notebook_id, group.cell_id, group.error]);
}

function headline(radar, group) {
  const file = group.notebook_path?.split("/").pop() ?? "";
  const place = `${file} ${cellName(group.cell_position)}`.trim();
  return t("radar_group", group.students.length, radar.students, group.error, place);
}

// Announces each group that has passed the threshold once, until it has left the radar.
export class RadarAlarm {
  #announced = new Set();

  look({ id, radar }) {
    const there = new Set(radar.groups.map(key));
    for (const each of this.#announced) if (!there.has(each)) this.#announced.delete(each);
    for (const group of radar.groups) {
      if (group.students.length < threshold(radar.students) || this.#announced.has(key(group)))
        continue;
      this.#announced.add(key(group));
      toast(headline(radar, group), `#/class/${id}/errors`);
    }
  }
}

export function radarView(root, store) {
  const rule = el("p", { className: "hint" });
  const list = el("ol", { className: "radar" });
  const cards = new Map(); // by key
  const show = () => {
    const { radar } = store;
    if (!radar) return;
    set(
      rule,
      radar.groups.length
        ? t("radar_rule", radar.minutes, threshold(radar.students))
        : t("radar_empty", radar.minutes),
    );
    const there = new Set(radar.groups.map(key));
    for (const each of cards.keys()) if (!there.has(each)) cards.delete(each);
    const wanted = radar.groups.map((group) => renewed(cards, store, group));
    const focus = focusIn(list);
    arrange(list, wanted);
    focus();
  };
  root.append(rule, list);
  store.addEventListener("radar", show);
  show();
  store.lookForErrors();
  return () => store.removeEventListener("radar", show);
}

// The group's card, made anew only where something is new.
function renewed(cards, store, group) {
  const told = JSON.stringify([group, store.radar.students]);
  const known = cards.get(key(group));
  if (known?.told === told) return known.element;
  const element = card(store, store.radar, group, known?.element.querySelector("details").open);
  cards.set(key(group), { told, element });
  return element;
}

// Returns how to give back the focus to what was in its place.
function focusIn(list) {
  const active = document.activeElement;
  const held = active.closest("[data-key]");
  if (!held || !list.contains(held)) return () => {};
  const alike = (inside) => [...inside.querySelectorAll(active.tagName)];
  const place = alike(held).indexOf(active);
  return () => {
    const now = [...list.children].find((each) => each.dataset.key === held.dataset.key);
    if (now && now !== held) alike(now)[place]?.focus();
  };
}

function card(store, radar, group, open = false) {
  const names = group.students.map((userId) => {
    const student = store.students.get(userId);
    const name = student?.name ?? userId;
    return el(
      "li",
      {},
      student
        ? el("a", { href: `#/class/${store.id}/student/${student.student_id}`, textContent: name })
        : name,
    );
  });
  const details = el(
    "details",
    {},
    el("summary", {
      textContent: t("example", store.students.get(group.example_of)?.name ?? group.example_of),
    }),
    el("pre", { tabIndex: 0, textContent: group.code ?? "" }),
    el("pre", { tabIndex: 0, className: "error", textContent: group.example ?? "" }),
  );
  details.open = open;
  const share = el("meter", {
    max: radar.students,
    value: group.students.length,
    ariaLabel: headline(radar, group),
  });
  return el(
    "li",
    { className: "card", "data-key": key(group) },
    el(
      "div",
      { className: "line" },
      el("h2", { textContent: headline(radar, group) }),
      trend(group.trend),
    ),
    share,
    el("ul", { className: "names", ariaLabel: t("who") }, ...names),
    details,
  );
}

// Ten bars: too little for a chart.
function trend(counts) {
  const most = Math.max(1, ...counts);
  const bars = counts.map((count) => {
    const bar = el("span");
    bar.style.blockSize = `${Math.round((100 * count) / most)}%`;
    return bar;
  });
  return el(
    "span",
    { className: "trend", role: "img", ariaLabel: t("trend", counts.join(" ")) },
    ...bars,
  );
}
