// A notebook: cells by students, and what stops them.

import { all, call } from "./api.js";
import { el } from "./dom.js";
import { cellName, t } from "./texts.js";

export function notebookView(root, store, id) {
  const picker = el("select");
  const refresh = el("button", { type: "button", textContent: t("refresh") });
  const body = el("div", {
    className: "scroll",
    tabIndex: 0,
    role: "region",
    ariaLabel: t("notebooks"),
  });
  let gone = false;

  const show = async () => {
    if (!picker.value) return;
    const path = `classes/${store.id}/notebooks/${picker.value}`;
    try {
      const [notebook, reached] = await Promise.all([
        call(`${path}/cells`),
        call(`${path}/students`),
      ]);
      if (!gone) body.replaceChildren(heatMap(store, notebook, reached));
    } catch (error) {
      body.replaceChildren(
        el("p", { className: "trouble", textContent: t("failed", error.message) }),
      );
    }
  };
  const choose = async () => {
    const notebooks = await notebooksOf(store);
    if (gone) return;
    picker.replaceChildren(
      ...notebooks.map(([value, text]) => el("option", { value, textContent: text })),
    );
    if (id) picker.value = id;
    if (!notebooks.length) body.replaceChildren(el("p", { textContent: t("no_notebooks") }));
    show();
  };

  picker.onchange = () => (location.hash = `#/class/${store.id}/notebooks/${picker.value}`);
  refresh.onclick = show;
  root.append(
    el("div", { className: "bar" }, el("label", {}, `${t("choose_notebook")} `, picker), refresh),
    legend(),
    body,
  );
  if (store.students.size) choose();
  else store.addEventListener("loaded", choose, { once: true });
  return () => (gone = true);
}

// Those that were handed out, and those that students are in now.
async function notebooksOf(store) {
  const found = new Map();
  for (const { notebook_id: id, notebook_path: path } of store.students.values())
    if (id) found.set(id, path);
  for (const assignment of await all(`assignments?class_id=${store.id}`)) {
    const notebook = await call(`notebooks/${assignment.notebook_id}`);
    found.set(notebook.id, `${assignment.title} (${notebook.path})`);
  }
  return [...found].sort(([, a], [, b]) => a.localeCompare(b));
}

// What a cell of the map shows: a mark for the eye, words for all others.
function mark(cell) {
  if (!cell) return ["none", "·", t("not_reached")];
  if (cell.succeeded)
    return [
      "success",
      cell.attempts > 1 ? `✓${cell.attempts}` : "✓",
      t("succeeded_n", cell.attempts),
    ];
  if (cell.errors) return ["failed", `✗${cell.errors}`, t("failed_n", cell.errors)];
  return ["reached", "○", t("reached")];
}

function heatMap(store, notebook, reached) {
  const found = new Map(reached.map((cell) => [`${cell.student_id} ${cell.cell_id}`, cell]));
  const heading = (text) => el("th", { scope: "row", textContent: text });
  const summary = (name, tell) =>
    el(
      "tr",
      { className: "summary" },
      heading(t(name)),
      ...notebook.cells.map((cell) => el("td", { textContent: tell(cell) })),
    );
  const row = (student) => {
    const link = el("a", {
      href: `#/class/${store.id}/student/${student.student_id}`,
      textContent: student.name ?? student.user_id,
    });
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, link),
      ...notebook.cells.map((cell) => {
        const [kind, sign, words] = mark(found.get(`${student.student_id} ${cell.cell_id}`));
        const shown = el(
          "td",
          { className: "heat", title: words },
          el("span", { ariaHidden: "true", textContent: sign }),
          el("span", { className: "unseen", textContent: words }),
        );
        shown.dataset.kind = kind;
        return shown;
      }),
    );
  };
  const columns = notebook.cells.map((cell) =>
    el("th", { scope: "col", textContent: cellName(cell.position), title: cell.cell_id }),
  );
  const percent = ({ ran, succeeded }) => (ran ? `${Math.round((100 * succeeded) / ran)} %` : "");
  const errors = ({ frequent_errors: all }) =>
    all.map((each) => `${each.error} (${each.students.length})`).join("\n");
  return el(
    "table",
    { className: "heatmap" },
    el("caption", { textContent: notebook.notebook_path }),
    el(
      "thead",
      {},
      el("tr", {}, el("td"), ...columns),
      summary("success_rate", percent),
      summary("attempts", (cell) => cell.attempts_median ?? ""),
      summary("time", (cell) => duration(cell.duration_median_ms)),
      summary("top_errors", errors),
    ),
    el("tbody", {}, ...[...store.students.values()].map(row)),
  );
}

function duration(ms) {
  if (ms === null) return "";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function legend() {
  const kinds = [
    ["none", "·", "not_reached"],
    ["reached", "○", "reached"],
  ].map(([kind, sign, name]) => [kind, sign, t(name)]);
  kinds.push(["failed", "✗2", t("failed_n", 2)], ["success", "✓3", t("succeeded_n", 3)]);
  return el(
    "p",
    { className: "hint legend" },
    ...kinds.flatMap(([kind, sign, words]) => {
      const box = el("span", { className: "heat", textContent: sign });
      box.dataset.kind = kind;
      return [box, ` ${words} `];
    }),
  );
}
