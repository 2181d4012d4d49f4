// A submitted notebook, to read: nothing in it is run.

import { el, pre } from "./dom.js";
import { t } from "./i18n.js";
import { terminal } from "./terminal.js";

/** @import { Cell, Lines, NotebookContent, Output } from "./types.d.ts" */

/**
 * @param {NotebookContent | null} content
 * @param {(string | null)[]} markdown the HTML of each Markdown cell, sanitised by the server
 */
export function notebookViewer(content, markdown) {
  if (!content) return el("p", { textContent: t("content_none") });
  return el(
    "section",
    { className: "notebook" },
    content.cells.map((cell, place) =>
      cell.cell_type === "code" ? codeCell(cell) : textCell(joined(cell.source), markdown[place]),
    ),
  );
}

/** @param {Cell} cell */
function codeCell(cell) {
  return el(
    "div",
    { className: "cell code" },
    el("p", { className: "count", textContent: `In [${cell.execution_count ?? " "}]` }),
    pre(joined(cell.source)),
    (cell.outputs ?? []).map(outputOf),
  );
}

/**
 * @param {string} source
 * @param {string | null | undefined} html
 */
function textCell(source, html) {
  if (html === null || html === undefined)
    return el("div", { className: "cell text" }, pre(source));
  const rendered = el("div", { className: "markdown" });
  rendered.innerHTML = html;
  const details = el("details", {}, el("summary", { textContent: t("source") }), pre(source));
  return el("div", { className: "cell" }, rendered, details);
}

/** @param {Output} output */
function outputOf(output) {
  if (output.output_type === "error") return terminal(`${output.ename}: ${output.evalue}`, "error");
  const image = output.data?.["image/png"];
  if (image) {
    const src = `data:image/png;base64,${joined(image).replaceAll(/\s/g, "")}`;
    return el("img", { alt: t("output"), src });
  }
  const text = joined(output.text ?? output.data?.["text/plain"]);
  return text ? terminal(text, "output") : null;
}

/** @param {Lines | undefined} lines */
function joined(lines) {
  return Array.isArray(lines) ? lines.join("") : (lines ?? "");
}
