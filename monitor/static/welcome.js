// A first start: create a class, then invite students to it.

import { call } from "./api.js";
import { firstClassForm } from "./classes.js";
import { el, failure, pre } from "./dom.js";
import { t } from "./i18n.js";

/** @import { HeardStudent } from "./types.d.ts" */

/** @param {HTMLElement} root */
export function welcomeView(root) {
  const heard = el("p", { role: "status" });
  showHeard(heard);
  root.append(
    el(
      "section",
      { className: "welcome" },
      el("h2", { textContent: t("first_class") }),
      el("p", { className: "hint", textContent: t("first_class_hint") }),
      heard,
      firstClassForm(),
      el("p", { textContent: t("first_demo") }),
      pre("make demo", "", "command"),
    ),
  );
}

// How many students already post; their class's page lists them.
/** @param {HTMLElement} line */
async function showHeard(line) {
  try {
    /** @type {HeardStudent[]} */
    const heard = await call("heard?limit=500");
    if (heard.length) line.textContent = t("heard_first", heard.length);
  } catch (error) {
    line.textContent = failure(error);
  }
}
