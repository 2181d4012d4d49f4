// A first start: how to send a first event, and to create a class.

import { newClassForm } from "./classes.js";
import { API } from "./config.js";
import { el, pre } from "./dom.js";
import { t } from "./i18n.js";

/** @param {HTMLElement} root */
export function welcomeView(root) {
  const url = new URL(`${API}events`, document.baseURI).href;
  const command = [
    `curl ${url} -H 'Content-Type: application/json' \\`,
    `  -d '[{"eventType": "cell_executed", "userId": "hanako", "notebookPath": "lesson.ipynb"}]'`,
  ].join("\n");
  root.append(
    el("h2", { textContent: t("welcome") }),
    el("p", { textContent: t("welcome_empty") }),
    el("h3", { textContent: t("first_event") }),
    pre(command),
    el("p", { textContent: t("extension", url) }),
    el("h3", { textContent: t("first_class") }),
    newClassForm(),
    el("h3", { textContent: t("first_demo") }),
    pre("make demo"),
  );
}
