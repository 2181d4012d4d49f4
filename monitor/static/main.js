// Which class and which view the address names.

import { activityView } from "./activity.js";
import { address, followedLink, goBack, goOn, scrolledTo, wasLeft } from "./address.js";
import { CallAlerts } from "./alerts.js";
import { analysisView } from "./analysis.js";
import { ApiError, all, call } from "./api.js";
import { attemptsView } from "./attempts.js";
import { CLASSES_CHANGED } from "./classes.js";
import { byId, el, failure, toast } from "./dom.js";
import { Header } from "./header.js";
import { helpView } from "./help.js";
import { callLearnersAs, t } from "./i18n.js";
import { backKey } from "./keys-of-lesson.js";
import { manageView } from "./manage.js";
import { meView } from "./me.js";
import { notebookView } from "./notebook.js";
import { overviewView } from "./overview.js";
import { PROJECTED_CHANGED } from "./projected.js";
import { projectorScreen } from "./projector-screen.js";
import { RadarAlarm, radarView } from "./radar.js";
import { ClassStore } from "./store.js";
import { submissionView } from "./submission.js";
import { LessonView } from "./lesson-view.js";
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
  submission: submissionView,
  attempts: attemptsView,
  analysis: analysisView,
};

const BESIDE_LESSON = new Set(["students", "help", "errors"]); // which Esc leaves

const main = byId("view");
projectorScreen.start();
byId("toasts").ariaLabel = t("messages");
const header = new Header(byId("top"));
const alerts = new CallAlerts();
byId("top").append(alerts.element);
/** @type {Class[]} */
let classes = [];
let isStudent = false;
/** @type {ClassStore | null} */
let store = null;
let leaving = new AbortController();
/** @type {LessonView | null} */
let lesson = null;
/** @type {RadarAlarm | null} */
let alarm = null;

/** @param {AbortSignal} signal */
async function loadClasses(signal) {
  const answers = await Promise.all([all("classes"), asksAsStudent()]);
  if (signal.aborted) return;
  [classes, isStudent] = answers;
  header.showClasses(isStudent ? [] : classes);
}

/** Whether the caller is a student: they may not look at classes as a whole. */
async function asksAsStudent() {
  try {
    await call("overview?limit=1");
    return false;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return true;
    throw error;
  }
}

/** @param {Class | undefined} current */
function openStore(current) {
  if (store && store.id === current?.id) {
    store.current = current;
    return;
  }
  store?.close();
  store = current ? new ClassStore(current) : null;
  header.follow(store);
  alerts.follow(store, current?.name);
  projectorScreen.follow(store);
  alarm = store && new RadarAlarm(store);
  if (store) announceEvents(store);
}

/** @param {ClassStore} opened */
function announceEvents(opened) {
  opened.on(["radar"], () => alarm?.look());
  opened.on(["notice"], ({ message }) => toast(message));
}

async function route() {
  takeFromAddress();
  const { kind, id, view: name, last } = address();
  if (lesson && store?.id === Number(id) && LessonView.shows()) {
    header.show(store.current, name);
    lesson.select(Number(last));
    return;
  }
  leaving.abort();
  leaving = new AbortController();
  lesson = null;
  const { signal } = leaving;
  try {
    if (!classes.length || kind !== "class") await loadClasses(signal);
  } catch (error) {
    if (!signal.aborted) showFailure(error, signal);
    return;
  }
  if (signal.aborted) return; // the address has changed meanwhile
  if (isStudent) {
    showOwnPage(signal);
    return;
  }
  if (kind === "" && classes.length === 1) {
    location.replace(`#/class/${classes[0].id}`);
    return;
  }
  const current = kind === "class" ? classes.find((each) => each.id === Number(id)) : undefined;
  callLearnersAs(current ? [current] : classes);
  openStore(current);
  header.show(current, name);
  if (kind === "class") show(name, last, signal);
  else showAllClasses(signal);
}

/**
 * @param {unknown} error
 * @param {AbortSignal} signal
 */
function showFailure(error, signal) {
  main.replaceChildren(el("p", { className: "trouble", textContent: failure(error) }));
  const timer = setTimeout(route, RETRY_DELAY);
  signal.addEventListener("abort", () => clearTimeout(timer));
}

/** @param {AbortSignal} signal */
function showOwnPage(signal) {
  openStore(undefined);
  header.showOwnPage();
  const root = el("div", { className: "view" });
  main.replaceChildren(root);
  meView(root, signal, (connection) => header.showConnection(connection));
}

/** @param {AbortSignal} signal */
function showAllClasses(signal) {
  const root = el("div", { className: "view" });
  main.replaceChildren(root);
  if (classes.length) overviewView(root, classes, signal);
  else welcomeView(root);
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
  else if (store && LessonView.shows()) lesson = new LessonView(root, store, signal, Number(id));
  else if (store && Object.hasOwn(VIEWS, name)) {
    VIEWS[name](root, store, signal, id);
    const hash = `#/class/${store.id}/lesson`;
    if (BESIDE_LESSON.has(name)) backKey(signal, () => goBack(hash));
  }
  else root.append(el("p", { textContent: t("not_found") }));
}

// Who comes back goes on from the link that led away.
/** @param {string} url that was left */
function focusLinkTo(url) {
  const pathOf = (/** @type {string} */ hash) => hash.split("?")[0];
  const left = pathOf(new URL(url).hash);
  const link = [...main.querySelectorAll("a")].find(({ hash }) => pathOf(hash) === left);
  link?.focus({ preventScroll: true });
}

addEventListener("hashchange", ({ oldURL }) => {
  const stays = lesson;
  route();
  if (stays && stays === lesson) return; // a student is shown beside the seats
  scrollTo(0, scrolledTo());
  main.focus({ preventScroll: true });
  if (wasLeft() && oldURL) focusLinkTo(oldURL);
});
// A click keeps how far one has scrolled, so that one can come back.
document.addEventListener("click", (event) => {
  const link = followedLink(event);
  if (!link || link.hash === location.hash) return;
  event.preventDefault();
  goOn(link.hash);
});
document.addEventListener("visibilitychange", () => store?.lookForErrors());
addEventListener(PROJECTED_CHANGED, () => alarm?.look());
addEventListener(CLASSES_CHANGED, async () => {
  classes = [];
  lesson = null;
  route();
});
route();
