// The class is stuck: errors of the last minutes, by cell and kind.

import { el, toast } from "./dom.js";
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
  let opened = new Set();
  const show = () => {
    const { radar } = store;
    if (!radar) return;
    rule.textContent = radar.groups.length
      ? t("radar_rule", radar.minutes, threshold(radar.students))
      : t("radar_empty", radar.minutes);
    opened = new Set([...list.querySelectorAll("details[open]")].map((each) => each.dataset.key));
    list.replaceChildren(...radar.groups.map((group) => card(store, radar, group, opened)));
  };
  root.append(rule, list);
  store.addEventListener("radar", show);
  show();
  store.lookForErrors();
  return () => store.removeEventListener("radar", show);
}

function card(store, radar, group, opened) {
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
  details.dataset.key = key(group);
  details.open = opened.has(details.dataset.key);
  const share = el("meter", {
    max: radar.students,
    value: group.students.length,
    ariaLabel: headline(radar, group),
  });
  return el(
    "li",
    { className: "card" },
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
