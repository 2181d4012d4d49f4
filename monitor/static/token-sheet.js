// A sheet to print: a strip for each student, to cut out, with the address to paste.

import { askBefore } from "./dialog.js";
import { button, el, joinFacts } from "./dom.js";
import { t } from "./i18n.js";
import { STRIP_TEXTS } from "./token-texts.js";

/** @import { IssuedToken } from "./types.d.ts" */

/**
 * @typedef {object} Strip
 * @property {IssuedToken} token
 * @property {string} name of the student
 */

const THIS_COMPUTER = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * Shows the sheet in place of the page, which comes back when the reader leaves it.
 *
 * @param {string} className
 * @param {Strip[]} strips
 */
export function openSheet(className, strips) {
  const isLocal = THIS_COMPUTER.has(new URL(strips[0].token.url).hostname);
  const sheet = el(
    "main",
    { className: "sheet", tabIndex: -1, ariaLabel: t("tokens") },
    el("h1", { className: "visually-hidden", textContent: t("tokens") }),
    el(
      "div",
      { className: "bar" },
      button(t("sheet_print"), () => print()),
      button(t("sheet_back"), () => askToLeave(leave)),
      el("strong", { textContent: t("sheet_once") }),
      isLocal ? el("p", { className: "trouble", textContent: t("sheet_here_only") }) : null,
    ),
    el("ol", {}, strips.map((strip) => makeStrip(className, strip))),
  );
  const leaving = new AbortController();
  const leave = () => {
    leaving.abort();
    document.body.classList.remove("has-sheet");
    sheet.remove();
  };
  addEventListener("hashchange", leave, { signal: leaving.signal });
  addEventListener("beforeunload", (event) => event.preventDefault(), { signal: leaving.signal });
  document.body.classList.add("has-sheet");
  document.body.append(sheet);
  sheet.focus();
}

/** @param {() => void} leave */
function askToLeave(leave) {
  askBefore({
    question: t("sheet_back_sure"),
    confirm: t("sheet_leave"),
    task: async () => leave(),
  });
}

/**
 * @param {string} className
 * @param {Strip} strip
 */
function makeStrip(className, { token, name }) {
  const id = name === token.user_id ? null : token.user_id;
  return el(
    "li",
    { className: "strip" },
    el("img", { src: token.qr_image, alt: "" }),
    el(
      "div",
      {},
      el("h2", {}, name, el("small", { textContent: joinFacts([id, className]) })),
      el("code", { textContent: token.url }),
      el("p", { lang: "ja", textContent: STRIP_TEXTS.ja }),
      el("p", { lang: "en", textContent: STRIP_TEXTS.en }),
    ),
  );
}
