// The caller's token, where the server wants one. It is kept until the tab is closed.

import { el } from "./dom.js";
import { t } from "./texts.js";

const KEY = "token";
let asking = null;

export function token() {
  return sessionStorage.getItem(KEY) ?? "";
}

// Resolves when a token has been given; who asks meanwhile waits for the same.
export function askToken() {
  asking ??= new Promise((resolve) => {
    const input = el("input", { name: "token", type: "password", required: true, autocomplete: "off" });
    const dialog = el(
      "dialog",
      { ariaLabel: t("token") },
      el(
        "form",
        { method: "dialog", className: "card" },
        el("label", {}, t("token"), input),
        el("p", { textContent: t("token_hint") }),
        el("button", { type: "submit", textContent: t("token_use") }),
      ),
    );
    dialog.oncancel = (event) => event.preventDefault();
    dialog.onclose = () => {
      sessionStorage.setItem(KEY, input.value.trim());
      dialog.remove();
      asking = null;
      resolve();
    };
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}
