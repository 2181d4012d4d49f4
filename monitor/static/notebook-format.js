// Submitted notebooks, which may be irregular or of format 2 or 3, as the page reads them.

/** @import { Output } from "./types.d.ts" */

/**
 * @typedef {object} ReadCell
 * @property {boolean} isCode
 * @property {string} source
 * @property {string | number} count of a code cell's run, empty if it wasn't run
 * @property {Output[]} outputs
 * @property {Record<string, Record<string, unknown>>} attachments by name, each by media type
 */

// Outputs of format 3 have their data in fields of their own.
const OLD_FIELDS = {
  png: "image/png",
  jpeg: "image/jpeg",
  svg: "image/svg+xml",
  html: "text/html",
  latex: "text/latex",
  text: "text/plain",
};

/**
 * The cells in the order of the server's Markdown.
 *
 * @param {unknown} content
 * @returns {ReadCell[]}
 */
export function readCells(content) {
  const notebook = record(content);
  const sheets = list(notebook.worksheets).flatMap((sheet) => list(record(sheet).cells));
  return [
    ...list(notebook.cells).map((cell) => readCell(cell, "")),
    ...sheets.map((cell) => readCell(cell, "\n")),
  ];
}

/**
 * @param {unknown} content
 * @param {string} between what is between lines that don't end in line breaks
 * @returns {ReadCell}
 */
function readCell(content, between) {
  const cell = record(content);
  const count = cell.execution_count ?? cell.prompt_number;
  return {
    isCode: cell.cell_type === "code",
    source: joined(cell.source ?? cell.input, between),
    count: typeof count === "number" || typeof count === "string" ? count : "",
    outputs: list(cell.outputs).map((output) => withLines(record(output), between)),
    attachments: /** @type {ReadCell["attachments"]} */ (record(cell.attachments)),
  };
}

/**
 * The output, its lines joined where `between` is between them.
 *
 * @param {Output} output
 * @param {string} between
 * @returns {Output}
 */
function withLines(output, between) {
  if (!between) return output;
  return Object.fromEntries(
    Object.entries(output).map(([field, value]) => [
      field,
      Array.isArray(value) ? joined(value, between) : value,
    ]),
  );
}

/**
 * The representations of what an output shows, by media type.
 *
 * @param {Output} output
 * @returns {Record<string, unknown>}
 */
export function dataOf(output) {
  if (output.data) return record(output.data);
  const known = Object.entries(OLD_FIELDS).filter(([field]) => output[field] !== undefined);
  return Object.fromEntries(known.map(([field, type]) => [type, output[field]]));
}

/**
 * What an output says about an error, or null if it is none.
 *
 * @param {Output} output
 */
export function errorOf(output) {
  if (output.output_type !== "error" && output.output_type !== "pyerr") return null;
  const named = [joined(output.ename), joined(output.evalue)].filter(Boolean).join(": ");
  return named || joined(output.traceback);
}

/**
 * Text as nbformat has it: a string, or lines.
 *
 * @param {unknown} lines
 * @param {string} between what is between lines that don't end in line breaks
 */
export function joined(lines, between = "") {
  if (!Array.isArray(lines)) return typeof lines === "string" ? lines : "";
  const texts = lines.filter((line) => typeof line === "string");
  return texts.join(texts[0]?.endsWith("\n") ? "" : between);
}

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
function record(value) {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? /** @type {Record<string, unknown>} */ (value) : {};
}

/**
 * @param {unknown} value
 * @returns {unknown[]}
 */
function list(value) {
  return Array.isArray(value) ? value : [];
}
