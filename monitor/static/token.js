// The caller's token, where the server wants one. It is kept until the tab is closed.

import { el } from "./dom.js";
import { t } from "./i18n.js";

const KEY = "token";

/** @type {Promise<void> | null} */
let asking = null;

/** The token, or an empty string. */
export function token() {
  return sessionStorage.getItem(KEY) ?? "";
}

/**
 * Takes the token out of an address such as `#token=…&to=/class/3`, which `cell-monitor serve
 * --class` prints, so that it stays neither on the screen nor in the browser's history.
 */
export function takeFromAddress() {
  const values = new URLSearchParams(location.hash.slice(1));
  const taken = values.get(KEY);
  if (!taken) return;
  sessionStorage.setItem(KEY, taken);
  history.replaceState(null, "", `#${values.get("to") ?? "/"}`);
}

/** Whether the page waits for a token. */
export function isAskingToken() {
  return asking !== null;
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/** Forgets the token and starts the page again. */
export function signOut() {
  forgetToken();
  location.hash = "#/";
  location.reload();
}

/** Resolves when a token has been entered; calls in the meantime wait for the same dialog. */
export function askToken() {
  asking ??= new Promise((resolve) => showDialog(resolve)).finally(() => (asking = null));
  return asking;
}

/** @param {(value: void) => void} resolve */
function showDialog(resolve) {
  const properties = { name: "token", type: "password", required: true, autocomplete: "off" };
  const input = el("input", properties);
  const dialog = el(
    "dialog",
    { ariaLabel: t("token") },
    el(
      "form",
      { method: "dialog", className: "card" },
      token() ? el("p", { className: "trouble", textContent: t("token_refused") }) : null,
      el("label", {}, t("token"), input),
      el("p", { textContent: t("token_hint") }),
      el("button", { type: "submit", textContent: t("token_use") }),
    ),
  );
  dialog.oncancel = (event) => event.preventDefault();
  dialog.onclose = () => {
    sessionStorage.setItem(KEY, input.value.trim());
    dialog.remove();
    resolve();
  };
  document.body.append(dialog);
  dialog.showModal();
}
