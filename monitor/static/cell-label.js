// A cell as it is named where there is room: its code in the type of code, its number small.

import { el } from "./dom.js";
import { cellHint, cellName } from "./i18n.js";

/**
 * @param {number | null} position from 0
 * @param {string | null} title its first line of code
 */
export function cellLabel(position, title) {
  if (!title) return el("span", { textContent: cellName(position) });
  return el(
    "span",
    { className: "cell-label" },
    el("code", { textContent: title }),
    " ",
    el("small", { textContent: cellHint(position, title) }),
  );
}
