// What is long is cut, and shown in full on request.

import { button, el } from "./dom.js";
import { t } from "./i18n.js";
import { terminal } from "./terminal.js";

const MAX_LINES = 60;
const MAX_CHARACTERS = 8_000;
const MAX_READ = 1_000_000; // characters
const MARGIN = 1.5; // what is little longer is shown in full

/**
 * An output or error as a terminal shows it, its beginning if it is long.
 *
 * @param {string} text
 * @param {"output" | "error"} className
 * @returns {HTMLElement[]}
 */
export function longText(text, className) {
  const shown = terminal(text.slice(0, MAX_READ), className);
  const whole = shown.textContent ?? "";
  const start = beginning(whole);
  if (start === whole) return [shown, ...limit(text)];
  shown.textContent = start;
  const lines = whole.split("\n").length;
  const label = lines > MAX_LINES ? t("show_all_lines", lines) : t("show_all_text", whole.length);
  const more = button(label, () => {
    shown.textContent = whole;
    more.remove();
    shown.focus();
  });
  return [shown, more, ...limit(text)];
}

/** @param {string} text */
function limit({ length }) {
  const textContent = t("text_cut", MAX_READ);
  return length > MAX_READ ? [el("p", { className: "hint", textContent })] : [];
}

/** @param {string} text */
function beginning(text) {
  const lines = text.split("\n");
  const few = lines.length > MAX_LINES * MARGIN ? lines.slice(0, MAX_LINES).join("\n") : text;
  if (few.length <= MAX_CHARACTERS * MARGIN) return few;
  return few.slice(0, MAX_CHARACTERS).replace(/[\ud800-\udbff]$/, "");
}
