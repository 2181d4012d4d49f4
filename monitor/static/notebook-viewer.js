// A submitted notebook, to read: nothing in it is run.

import { el, pre } from "./dom.js";
import { t } from "./i18n.js";
import { longText } from "./long-text.js";
import { dataOf, errorOf, joined, readCells } from "./notebook-format.js";
import { fillPictures, outputPicture, pictureAddress } from "./notebook-pictures.js";
import { readHtml } from "./output-table.js";

/** @import { ReadCell } from "./notebook-format.js" */
/** @import { NotebookContent, Output } from "./types.d.ts" */

const NO_TEXT = /^<[\w.]+( object)?( at 0x[0-9a-f]+)?>$/i; // as of display(HTML(…))

/**
 * @param {NotebookContent | null} content
 * @param {(string | null)[]} markdown the HTML of each Markdown cell, sanitised by the server
 */
export function notebookViewer(content, markdown) {
  if (!content) return el("p", { textContent: t("content_none") });
  return el(
    "section",
    { className: "notebook" },
    readCells(content).map((cell, place) =>
      cell.isCode ? codeCell(cell) : textCell(cell, markdown[place]),
    ),
  );
}

/** @param {ReadCell} cell */
function codeCell({ source, count, outputs }) {
  return el(
    "div",
    { className: "cell code" },
    el("p", { className: "count", textContent: `In [${count === "" ? " " : count}]` }),
    pre(source),
    outputs.flatMap(outputOf),
  );
}

/**
 * @param {ReadCell} cell
 * @param {string | null | undefined} html
 */
function textCell(cell, html) {
  const source = pre(cell.source, "", "source");
  if (html === null || html === undefined) return el("div", { className: "cell text" }, source);
  const rendered = el("div", { className: "markdown" });
  rendered.innerHTML = html;
  fillPictures(rendered, cell);
  const summary = el("summary", { textContent: t("source") });
  return el("div", { className: "cell" }, rendered, el("details", {}, summary, source));
}

/**
 * @param {Output} output
 * @returns {HTMLElement[]}
 */
function outputOf(output) {
  const error = errorOf(output);
  if (error !== null) return longText(error, "error");
  const data = dataOf(output);
  const src = pictureAddress(data);
  if (src) return [outputPicture(src)];
  const html = joined(data["text/html"]);
  const plain = joined(data["text/plain"]);
  const read = html ? readHtml(html) : "";
  if (typeof read !== "string") return read;
  const text = !plain || NO_TEXT.test(plain) ? read || plain : plain;
  if (text) return longText(text, "output");
  const written = writtenOf(data);
  if (written) return longText(written, "output");
  const types = Object.keys(data).filter((type) => joined(data[type]) || !isText(data[type]));
  const missing = types.length > 0 && t("output_unknown", types.join(", "));
  return missing ? [el("p", { className: "hint", textContent: missing })] : [];
}

/**
 * What can be read as it is written, where there is neither text nor a table.
 *
 * @param {Record<string, unknown>} data by media type
 */
function writtenOf(data) {
  const written = joined(data["text/markdown"]) || joined(data["text/latex"]);
  const json = data["application/json"];
  return written || (json === undefined ? "" : JSON.stringify(json, null, 2));
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === "string" || Array.isArray(value);
}
