// A first start: how to send a first event, and to make a class.

import { newClassForm } from "./classes.js";
import { el } from "./dom.js";
import { t } from "./texts.js";

export function welcomeView(root) {
  const url = new URL(
    `${document.querySelector('meta[name="api"]').content}/events`,
    document.baseURI,
  ).href;
  const command = [
    `curl ${url} -H 'Content-Type: application/json' \\`,
    `  -d '[{"eventType": "cell_executed", "userId": "hanako", "notebookPath": "lesson.ipynb"}]'`,
  ].join("\n");
  root.append(
    el("h2", { textContent: t("welcome") }),
    el("p", { textContent: t("welcome_empty") }),
    el("h3", { textContent: t("first_event") }),
    el("pre", { tabIndex: 0, textContent: command }),
    el("p", { textContent: t("extension", url) }),
    el("h3", { textContent: t("first_class") }),
    newClassForm(),
    el("h3", { textContent: t("first_demo") }),
    el("pre", { tabIndex: 0, textContent: "make demo" }),
  );
  return () => {};
}
