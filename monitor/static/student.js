// A student: executions, notebooks, submissions.

import { call, serverNow } from "./api.js";
import { el, set } from "./dom.js";
import { ago, cellName, t, when } from "./texts.js";

const PAUSE = 1_000;
const ACTIONS = { open: "opened_it", save: "saved_it", close: "closed_it" };

export function studentView(root, store, id) {
  const studentId = Number(id);
  const title = el("h2");
  const state = el("p", { className: "line" });
  const runs = el("ol", { className: "runs" });
  const more = el("button", { type: "button", textContent: t("more"), hidden: true });
  const accesses = el("ul", { className: "plain" });
  const submissions = el("ul", { className: "plain" });
  const trouble = el("p", { className: "trouble", role: "alert" });
  const known = new Set();
  let timer = 0;
  let next = null;

  const ask = async (what) => {
    try {
      return await call(`students/${studentId}/${what}`);
    } catch (error) {
      trouble.textContent = t("failed", error.message);
      return { items: [], next: null };
    }
  };
  const add = (items, place) => {
    const fresh = items.filter((item) => !known.has(item.event_id));
    fresh.forEach((item) => known.add(item.event_id));
    if (place === "before") runs.prepend(...fresh.map(run));
    else runs.append(...fresh.map(run));
  };
  const first = async () => {
    const page = await ask("timeline?limit=30");
    next = page.next;
    add(page.items, "after");
    more.hidden = !next;
    const [opened, handed] = await Promise.all([
      ask("accesses?limit=20"),
      ask("submissions?limit=50"),
    ]);
    fill(accesses, opened.items.map(access));
    fill(
      submissions,
      handed.items.map((item) => submission(store, item)),
    );
  };
  more.onclick = async () => {
    const page = await ask(`timeline?limit=30&cursor=${encodeURIComponent(next)}`);
    next = page.next;
    add(page.items, "after");
    more.hidden = !next;
  };

  const show = () => {
    const student = store.byId(studentId);
    if (!student) return;
    const shape = el("span", { className: "shape", ariaHidden: "true" });
    shape.dataset.state = store.state(student);
    set(title, student.name ?? student.user_id);
    const told = [
      t(`state_${store.state(student)}`),
      student.user_id,
      student.team,
      t("runs", student.executions),
      t("in_a_row", student.errors_in_a_row),
      student.heard ? ago(serverNow() - student.heard) : t("never"),
    ];
    state.replaceChildren(shape, told.filter(Boolean).join(" · "));
  };
  const changed = ({ detail }) => {
    if (!detail.has(store.byId(studentId)?.user_id)) return;
    show();
    timer ||= setTimeout(async () => {
      timer = 0;
      add((await ask("timeline?limit=30")).items, "before");
    }, PAUSE);
  };

  root.append(
    title,
    state,
    trouble,
    el(
      "div",
      { className: "columns" },
      el("section", {}, el("h3", { textContent: t("timeline") }), runs, more),
      el(
        "section",
        {},
        el("h3", { textContent: t("submissions") }),
        submissions,
        el("h3", { textContent: t("opened") }),
        accesses,
      ),
    ),
  );
  store.addEventListener("changed", changed);
  store.addEventListener("loaded", show);
  store.addEventListener("tick", show);
  show();
  first();
  return () => {
    clearTimeout(timer);
    store.removeEventListener("changed", changed);
    store.removeEventListener("loaded", show);
    store.removeEventListener("tick", show);
  };
}

function fill(list, items) {
  list.replaceChildren(
    ...(items.length ? items : [el("li", { className: "hint", textContent: t("nothing") })]),
  );
}

function run(item) {
  const shape = el("span", { className: "shape", ariaHidden: "true" });
  shape.dataset.state = item.status === "error" ? "error" : "active";
  const told = [
    when(item.executed_at),
    item.notebook_path?.split("/").pop(),
    item.cell_id ? cellName(item.cell_position) : null,
    item.duration_ms === null ? null : `${Math.round(item.duration_ms)} ms`,
    item.status === "error" ? t("error") : null,
  ];
  return el(
    "li",
    { className: "card" },
    el("p", { className: "line" }, shape, told.filter(Boolean).join(" · ")),
    item.code ? el("pre", { tabIndex: 0, textContent: item.code }) : null,
    item.error ? el("pre", { tabIndex: 0, className: "error", textContent: item.error }) : null,
    item.output && item.output !== item.error
      ? el("pre", { tabIndex: 0, className: "output", textContent: item.output })
      : null,
  );
}

function access(item) {
  const action = ACTIONS[item.action] ? t(ACTIONS[item.action]) : item.action;
  return el("li", {
    textContent: `${when(item.accessed_at)} · ${item.notebook_path ?? ""} · ${action}`,
  });
}

function submission(store, item) {
  const told = [
    item.title,
    t("attempt", item.attempt),
    when(item.submitted_at),
    item.late ? t("late") : null,
  ];
  const grade = item.grade === null ? null : `${t("grade")} ${item.grade}`;
  const href = `#/class/${store.id}/submission/${item.id ?? item.submission_id}`;
  return el("li", {}, el("a", { href, textContent: [...told, grade].filter(Boolean).join(" · ") }));
}
