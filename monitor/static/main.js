// Which class and which view the address names.

import { activityView } from "./activity.js";
import { all } from "./api.js";
import { CLASSES_CHANGED } from "./classes.js";
import { byId, el, failure, toast } from "./dom.js";
import { Header } from "./header.js";
import { helpView } from "./help.js";
import { t } from "./i18n.js";
import { manageView } from "./manage.js";
import { notebookView } from "./notebook.js";
import { RadarAlarm, radarView } from "./radar.js";
import { ClassStore } from "./store.js";
import { studentView } from "./student.js";
import { submissionView } from "./submission.js";
import { tilesView } from "./tiles.js";
import { takeFromAddress } from "./token.js";
import { welcomeView } from "./welcome.js";

/** @import { Class } from "./types.d.ts" */

/**
 * Fills `root`. The signal is aborted when the view is left; `id` is the address's last part.
 *
 * @typedef {(root: HTMLElement, store: ClassStore, signal: AbortSignal, id: string) => void} View
 */

const RETRY_DELAY = 2_000; // ms

/** @type {Record<string, View>} */
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

const main = byId("view");
const header = new Header(byId("top"));
/** @type {Class[]} */
let classes = [];
/** @type {ClassStore | null} */
let store = null;
let leaving = new AbortController();

async function loadClasses() {
  classes = await all("classes");
  header.showClasses(classes);
}

/** @param {number | undefined} id */
function openStore(id) {
  if (store?.id === id) return;
  store?.close();
  store = id === undefined ? null : new ClassStore(id);
  header.follow(store);
  if (store) announceEvents(store);
}

/** @param {ClassStore} opened */
function announceEvents(opened) {
  const alarm = new RadarAlarm();
  opened.on(["radar"], () => alarm.look(opened));
  opened.on(["asked"], ({ name, user_id: userId }) => {
    toast(t("asked", name ?? userId), `#/class/${opened.id}/help`);
  });
  opened.on(["notice"], ({ message }) => toast(message));
}

async function route() {
  takeFromAddress();
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [kind, id, name = "students", last = ""] = location.hash.replace(/^#\/?/, "").split("/");
  try {
    if (!classes.length || kind !== "class") await loadClasses();
  } catch (error) {
    if (signal.aborted) return;
    main.replaceChildren(el("p", { className: "trouble", textContent: failure(error) }));
    setTimeout(route, RETRY_DELAY);
    return;
  }
  if (signal.aborted) return; // the address has changed meanwhile
  if (kind !== "class" && classes.length) {
    const first = classes.find((each) => each.is_active) ?? classes[0];
    location.replace(`#/class/${first.id}`);
    return;
  }
  const current = classes.find((each) => each.id === Number(id));
  openStore(current?.id);
  header.show(current, name);
  show(name, last, signal);
}

/**
 * @param {string} name of the view
 * @param {string} id
 * @param {AbortSignal} signal
 */
function show(name, id, signal) {
  const root = el("div", { className: "view" });
  main.replaceChildren(root);
  if (!classes.length) welcomeView(root);
  else if (store && Object.hasOwn(VIEWS, name)) VIEWS[name](root, store, signal, id);
  else root.append(el("p", { textContent: t("not_found") }));
}

addEventListener("hashchange", () => {
  route();
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
});
document.addEventListener("visibilitychange", () => store?.lookForErrors());
addEventListener(CLASSES_CHANGED, async () => {
  classes = [];
  route();
});
route();
