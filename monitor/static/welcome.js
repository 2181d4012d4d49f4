// A first start: create a class, then invite students to it.

import { firstClassForm } from "./classes.js";
import { el, pre } from "./dom.js";
import { t } from "./i18n.js";

/** @param {HTMLElement} root */
export function welcomeView(root) {
  root.append(
    el(
      "section",
      { className: "welcome" },
      el("h2", { textContent: t("first_class") }),
      el("p", { className: "hint", textContent: t("first_class_hint") }),
      firstClassForm(),
      el("p", { textContent: t("first_demo") }),
      pre("make demo"),
    ),
  );
}
