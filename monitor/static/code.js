// A code in colours, and what changed in it, from the lines that the server has made of it.

import { el } from "./dom.js";
import { t } from "./i18n.js";

/** @import { CodeLine, CodeSpan } from "./types.d.ts" */

/** @type {Record<CodeLine["change"], "span" | "ins" | "del">} */
const TAGS = { same: "span", added: "ins", removed: "del" };

/**
 * It takes the focus, so that a keyboard can scroll it.
 *
 * @param {CodeLine[]} lines
 */
export function codeView(lines) {
  return el(
    "pre",
    { tabIndex: 0, className: "code", role: "group", ariaLabel: t("source_code") },
    lines.map(({ change, spans }) => el(TAGS[change], { className: "line-of" }, spans.map(piece))),
  );
}

/**
 * How many lines were added and removed.
 *
 * @param {CodeLine[]} lines
 */
export function changesIn(lines) {
  /** @param {CodeLine["change"]} wanted */
  const count = (wanted) => lines.filter(({ change }) => change === wanted).length;
  return { added: count("added"), removed: count("removed") };
}

/** @param {CodeSpan} span */
function piece({ text, kind, changed }) {
  if (!kind && !changed) return document.createTextNode(text);
  return el(changed ? "mark" : "span", { "data-kind": kind, textContent: text });
}
