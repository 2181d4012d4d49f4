// Which class and which view the address names; the head of the page.

import { activityView } from "./activity.js";
import { all } from "./api.js";
import { el, set, toast } from "./dom.js";
import { helpView } from "./help.js";
import { manageView } from "./manage.js";
import { notebookView } from "./notebook.js";
import { RadarAlarm, radarView } from "./radar.js";
import { ClassStore } from "./store.js";
import { studentView } from "./student.js";
import { submissionView } from "./submission.js";
import { language, otherLanguage, t } from "./texts.js";
import { tilesView } from "./tiles.js";
import { welcomeView } from "./welcome.js";

const VIEWS = {
  students: tilesView,
  help: helpView,
  errors: radarView,
  notebooks: notebookView,
  activity: activityView,
  manage: manageView,
  student: studentView,
  submission: submissionView,
};
const TABS = ["students", "help", "errors", "notebooks", "activity", "manage"];

const view = document.getElementById("view");
const picker = el("select", { ariaLabel: t("class") });
const tabs = el("nav", { ariaLabel: t("title") });
const connection = el("span", { className: "connection", role: "status" });
let classes = [];
let store = null;
let cleanUp = null;

function head() {
  const other = el("button", {
    type: "button",
    textContent: t("language"),
    onclick: otherLanguage,
  });
  other.lang = language === "ja" ? "en" : "ja";
  const theme = el("button", { type: "button", textContent: t("theme"), onclick: turnTheme });
  picker.onchange = () => (location.hash = `#/class/${picker.value}`);
  const home = el("h1", {}, el("a", { href: "#/", textContent: t("title") }));
  document.getElementById("top").append(home, picker, tabs, connection, other, theme);
  document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "";
}

function turnTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}

export async function loadClasses() {
  classes = await all("classes");
  picker.replaceChildren(
    ...classes.map((each) => {
      const text = each.is_active ? each.name : t("put_away", each.name);
      return el("option", { value: each.id, textContent: text });
    }),
  );
  picker.hidden = !classes.length;
}

function follow(id) {
  if (store?.id === id) return;
  store?.end();
  store = id ? new ClassStore(id) : null;
  connection.hidden = !store;
  if (!store) return;
  const mine = store;
  const alarm = new RadarAlarm();
  const show = () => {
    connection.dataset.state = mine.connection;
    set(connection, t(mine.connection));
  };
  store.addEventListener("connection", show);
  store.addEventListener("changed", counts);
  store.addEventListener("loaded", counts);
  store.addEventListener("radar", () => alarm.look(mine));
  store.addEventListener("asked", ({ detail }) => {
    toast(t("asked", detail.name ?? detail.user_id), `#/class/${mine.id}/help`);
  });
  store.addEventListener("notice", ({ detail }) => toast(detail.message));
  show();
}

function counts() {
  const badge = tabs.querySelector('[data-tab="help"] .badge');
  if (!badge || !store) return;
  const waiting = [...store.help.values()].filter((request) => !request.taken_by).length;
  badge.hidden = !waiting;
  set(badge, String(waiting));
}

function showTabs(current) {
  const link = (tab) =>
    el(
      "a",
      {
        href: `#/class/${store.id}/${tab}`,
        "data-tab": tab,
        "aria-current": tab === current ? "page" : null,
      },
      t(tab),
      tab === "help" ? el("span", { className: "badge", hidden: true }) : null,
    );
  tabs.replaceChildren(...(store ? TABS.map(link) : []));
  counts();
}

async function route() {
  cleanUp?.();
  cleanUp = null;
  const [kind, id, name = "students", ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  try {
    if (!classes.length || kind !== "class") await loadClasses();
  } catch (error) {
    view.replaceChildren(
      el("p", { className: "trouble", textContent: t("failed", error.message) }),
    );
    setTimeout(route, 2_000);
    return;
  }
  const known = classes.find((each) => each.id === Number(id));
  if (kind !== "class" && classes.length) {
    const first = classes.find((each) => each.is_active) ?? classes[0];
    location.replace(`#/class/${first.id}`);
    return;
  }
  follow(known?.id ?? null);
  if (known) picker.value = known.id;
  showTabs(name);
  const shown = el("div", { className: `view ${name}` });
  view.replaceChildren(shown);
  document.title = known ? `${known.name} — ${t("title")}` : t("title");
  if (!classes.length) cleanUp = welcomeView(shown);
  else if (known && VIEWS[name]) cleanUp = VIEWS[name](shown, store, ...rest);
  else shown.append(el("p", { textContent: t("not_found") }));
}

addEventListener("hashchange", () => {
  route();
  scrollTo(0, 0);
  view.focus({ preventScroll: true });
});
document.addEventListener("visibilitychange", () => store?.lookForErrors());
addEventListener("classes", async () => {
  await loadClasses();
  route();
});
head();
route();
