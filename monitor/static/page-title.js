// The title of the window: how many calls wait, where one is, and the program.

import { t } from "./i18n.js";

let place = "";
let waiting = 0;

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
  document.title = waiting ? `(${waiting}) ${title}` : title;
}
