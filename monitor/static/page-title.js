// The title of the window: how many calls wait, unless a class sees it, where one is, and the program.

import { t } from "./i18n.js";
import { PROJECTED_CHANGED, isProjected } from "./projected.js";

let place = "";
let waiting = 0;
addEventListener(PROJECTED_CHANGED, show);

/** @param {string} [name] of the class, or of another page that is open */
export function showPlace(name = "") {
  place = name;
  show();
}

/** @param {number} calls that wait for the teacher at this page */
export function showWaiting(calls) {
  waiting = calls;
  show();
}

function show() {
  const title = place ? `${place} — ${t("title")}` : t("title");
  document.title = waiting && !isProjected() ? `(${waiting}) ${title}` : title;
}
