// The class, live: one tile for each student.

import { arrange, el } from "./dom.js";
import { STATES, STUCK } from "./store.js";
import { t } from "./texts.js";
import { Tile, showCounts } from "./tile.js";

const PAUSE = 1_000; // between two looks at the order: tiles shall not dance

const ORDERS = {
  need: (a, b) => urgency(a) - urgency(b) || a.asked - b.asked || b.row - a.row || named(a, b),
  name: (a, b) => named(a, b),
  heard: (a, b) => b.student.heard - a.student.heard || named(a, b),
  errors: (a, b) => b.row - a.row || named(a, b),
};

// Who calls and is not attended to, then by state.
function urgency(tile) {
  return tile.state === "help" && tile.taken ? 0.5 : STATES.indexOf(tile.state);
}

function named(a, b) {
  return a.name.localeCompare(b.name) || (a.student.user_id < b.student.user_id ? -1 : 1);
}

export function tilesView(root, store) {
  const tiles = new Map();
  const wishes = { order: "need", state: "", text: "", teams: false };
  const counts = el("p", { className: "counts" });
  const body = el("div");
  let timer = 0;

  const updated = ({ detail }) => {
    for (const userId of detail) {
      const student = store.students.get(userId);
      if (!student) continue;
      if (!tiles.has(userId)) tiles.set(userId, new Tile(store.id));
      tiles.get(userId).show(student, store.state(student), store.help.get(userId));
    }
    timer ||= setTimeout(order, body.childElementCount ? PAUSE : 0);
  };
  const loaded = () => {
    for (const userId of tiles.keys()) if (!store.students.has(userId)) tiles.delete(userId);
    updated({ detail: store.students.keys() });
    if (store.error)
      body.replaceChildren(
        el("p", { className: "trouble", textContent: t("failed", store.error.message) }),
      );
    else if (!store.students.size)
      body.replaceChildren(el("p", { textContent: t("first_student") }));
  };
  const ticked = () => {
    const changed = [];
    for (const [userId, tile] of tiles) if (tile.age(store)) changed.push(userId);
    if (changed.length) updated({ detail: changed });
  };

  const order = () => {
    clearTimeout(timer);
    timer = 0;
    if (!tiles.size) return;
    const wanted = [...tiles.values()]
      .filter((tile) => tile.matches(wishes))
      .sort(ORDERS[wishes.order]);
    showCounts(counts, [...tiles.values()]);
    if (!wanted.length) body.replaceChildren(el("p", { textContent: t("nobody") }));
    else if (wishes.teams) arrange(body, teams(body, wanted));
    else arrange(body, [grid(body, "", wanted)]);
  };
  root.append(
    bar(wishes, order),
    counts,
    body,
    el("p", { className: "hint", textContent: t("legend", STUCK) }),
  );
  store.addEventListener("changed", updated);
  store.addEventListener("loaded", loaded);
  store.addEventListener("tick", ticked);
  if (store.students.size) loaded();
  return () => {
    clearTimeout(timer);
    store.removeEventListener("changed", updated);
    store.removeEventListener("loaded", loaded);
    store.removeEventListener("tick", ticked);
  };
}

function grid(body, team, tiles) {
  const id = `team:${team}`;
  const found = [...body.children].find((each) => each.dataset.id === id);
  const section =
    found ??
    el(
      "section",
      {},
      team ? el("h2", { textContent: team }) : null,
      el("ul", { className: "tiles" }),
    );
  section.dataset.id = id;
  arrange(
    section.lastChild,
    tiles.map((tile) => tile.element),
  );
  return section;
}

function teams(body, tiles) {
  const found = new Map();
  for (const tile of tiles) {
    const team = tile.student.team || t("no_team");
    if (!found.has(team)) found.set(team, []);
    found.get(team).push(tile);
  }
  const names = [...found.keys()].sort((a, b) => a.localeCompare(b));
  return names.map((name) => grid(body, name, found.get(name)));
}

function bar(wishes, changed) {
  const option = (value, text) => el("option", { value, textContent: text });
  const sort = el(
    "select",
    {},
    ...Object.keys(ORDERS).map((name) => option(name, t(`sort_${name}`))),
  );
  const state = el(
    "select",
    {},
    option("", t("everybody")),
    ...STATES.map((name) => option(name, t(`state_${name}`))),
  );
  const search = el("input", { type: "search" });
  const byTeam = el("input", { type: "checkbox" });
  const read = () => {
    wishes.order = sort.value;
    wishes.state = state.value;
    wishes.text = search.value.trim().toLowerCase();
    wishes.teams = byTeam.checked;
    changed();
  };
  for (const control of [sort, state, search, byTeam]) control.oninput = read;
  return el(
    "div",
    { className: "bar" },
    el("label", {}, `${t("search")} `, search),
    el("label", {}, `${t("show")} `, state),
    el("label", {}, `${t("sort")} `, sort),
    el("label", {}, byTeam, ` ${t("by_team")}`),
  );
}
