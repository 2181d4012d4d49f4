// A notebook: cells by students, and what stops them.

import { all, call } from "./api.js";
import { el } from "./dom.js";
import { HeatMap, legend } from "./heatmap.js";
import { paced } from "./pace.js";
import { t } from "./texts.js";

const PAUSE = 3_000; // ms between two looks at a notebook in which something happens

export function notebookView(root, store, id) {
  const picker = el("select");
  const trouble = el("p", { className: "trouble", role: "alert" });
  const none = el("p", { textContent: t("no_notebooks"), hidden: true });
  const map = new HeatMap(store);
  const body = el(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", ariaLabel: t("notebooks") },
    map.element,
  );
  let paths = new Map();
  let gone = false;

  const look = paced(async () => {
    const path = `classes/${store.id}/notebooks/${picker.value}`;
    try {
      const found = await Promise.all([call(`${path}/cells`), call(`${path}/students`)]);
      if (!gone) map.show(...found);
      trouble.textContent = "";
    } catch (error) {
      trouble.textContent = t("failed", error.message);
    }
  }, PAUSE);
  const choose = async () => {
    const notebooks = await notebooksOf(store);
    if (gone) return;
    paths = new Map(notebooks.map(([known, , path]) => [String(known), path]));
    picker.replaceChildren(
      ...notebooks.map(([value, text]) => el("option", { value, textContent: text })),
    );
    if (id) picker.value = id;
    none.hidden = notebooks.length > 0;
    if (picker.value) look();
  };
  const changed = ({ detail }) => {
    const here = paths.get(picker.value);
    const touched = [...detail].some((user) => store.students.get(user)?.notebook_path === here);
    if (!picker.value) choose();
    else if (touched) look();
  };

  picker.onchange = () => (location.hash = `#/class/${store.id}/notebooks/${picker.value}`);
  root.append(
    el("div", { className: "bar" }, el("label", {}, `${t("choose_notebook")} `, picker), legend()),
    trouble,
    none,
    body,
  );
  store.addEventListener("loaded", choose);
  store.addEventListener("changed", changed);
  if (store.ready) choose();
  return () => {
    gone = true;
    look.stop();
    store.removeEventListener("loaded", choose);
    store.removeEventListener("changed", changed);
  };
}

// Those that were handed out, and those that students are in now: id, text, path.
async function notebooksOf(store) {
  const found = new Map();
  for (const { notebook_id: id, notebook_path: path } of store.students.values())
    if (id) found.set(id, [id, path, path]);
  const assignments = await all(`assignments?class_id=${store.id}`);
  const handed = await Promise.all(
    assignments.map((each) => call(`notebooks/${each.notebook_id}`)),
  );
  assignments.forEach(({ title }, place) => {
    const { id, path } = handed[place];
    found.set(id, [id, `${title} (${path})`, path]);
  });
  return [...found.values()].sort(([, a], [, b]) => a.localeCompare(b));
}
