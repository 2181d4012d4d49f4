// Tables of outputs, as pandas writes them. Of their HTML only the texts and spans are taken.

import { button, el } from "./dom.js";
import { t } from "./i18n.js";

const MAX_HTML = 5_000_000; // characters that are read
const FIRST_ROWS = 20;
const MARGIN = 1.5; // what is little longer is shown in full
const MAX_ROWS = 2_000;
const MAX_COLUMNS = 100;
const MAX_TABLES = 20; // of an output
const MAX_TEXT = 1_000; // characters of a cell
const LONG_WORD = /\S{25}/; // is broken; others are not, though the table is scrolled then
const TAG = /<(\/?)([a-z][a-z0-9]*)([^<>]*)>/gi;
const SPANS = /\b(?:row|col)span\s*=\s*["']?\d{1,5}["']?/gi;
const TEXT_ELEMENT = "noembed"; // read as text, like style
const NOT_SHOWN = "script, style, noembed, template, noscript, iframe, object";

/**
 * The tables of an HTML output, or its text if it has none; empty if it has neither. Nothing in the
 * HTML is run or loaded: a parsed document has no window.
 *
 * @param {string} html
 * @returns {HTMLElement[] | string}
 */
export function readHtml(html) {
  if (html.length > MAX_HTML) return "";
  const { body } = new DOMParser().parseFromString(plainTags(html), "text/html");
  for (const each of body.querySelectorAll(NOT_SHOWN)) each.remove();
  const tables = [...body.querySelectorAll("table")].filter(
    (table) => table.rows.length > 0 && !table.parentElement?.closest("table"),
  );
  if (tables.length > 0) return tables.slice(0, MAX_TABLES).flatMap(tableOf);
  return (body.textContent ?? "").trim();
}

// Not needed for safety: the page's policy stops styles and event handlers, but reports each to the
// console, in a document that isn't shown too.
/** @param {string} html */
function plainTags(html) {
  return html.replaceAll(TAG, (_, slash, name, attributes) => {
    const isStyle = name.toLowerCase() === "style";
    return `<${slash}${isStyle ? TEXT_ELEMENT : name} ${(attributes.match(SPANS) ?? []).join(" ")}>`;
  });
}

/**
 * @param {HTMLTableElement} table
 * @returns {HTMLElement[]}
 */
function tableOf(table) {
  const head = [...(table.tHead?.rows ?? [])].slice(0, FIRST_ROWS);
  const all = [...table.rows].filter((row) => row.parentElement !== table.tHead);
  const rows = all.slice(0, MAX_ROWS);
  const isLong = rows.length > FIRST_ROWS * MARGIN;
  const body = el("tbody", {}, (isLong ? rows.slice(0, FIRST_ROWS) : rows).map(rowOf));
  const caption = table.caption && el("caption", { textContent: textOf(table.caption) });
  const shown = el("table", {}, caption, el("thead", {}, head.map(rowOf)), body);
  const region = { className: "scroll", tabIndex: 0, role: "region", ariaLabel: t("output") };
  /** @type {HTMLElement[]} */
  const parts = [el("div", region, shown)];
  if (isLong) parts.push(more(body, rows));
  const columns = Math.max(...[...head, ...rows].map((row) => row.cells.length));
  if (rows.length < all.length || columns > MAX_COLUMNS) {
    const textContent = t("table_cut", rows.length, Math.min(columns, MAX_COLUMNS));
    parts.push(el("p", { className: "hint", textContent }));
  }
  return [el("div", { className: "output table" }, parts)];
}

/**
 * @param {HTMLElement} body
 * @param {HTMLTableRowElement[]} rows
 */
function more(body, rows) {
  const show = button(t("show_all_rows", rows.length), () => {
    body.append(...rows.slice(FIRST_ROWS).map(rowOf));
    show.remove();
    body.closest("div")?.focus();
  });
  return show;
}

/** @param {HTMLTableRowElement} row */
function rowOf(row) {
  return el("tr", {}, [...row.cells].slice(0, MAX_COLUMNS).map(cellOf));
}

/** @param {HTMLTableCellElement} cell */
function cellOf(cell) {
  const rowSpan = Math.min(cell.rowSpan, MAX_ROWS);
  const colSpan = Math.min(cell.colSpan, MAX_COLUMNS);
  const tag = cell.tagName === "TH" ? "th" : "td";
  const textContent = textOf(cell);
  const className = LONG_WORD.test(textContent) ? "long" : "";
  return el(tag, { textContent, rowSpan, colSpan, className });
}

/** @param {HTMLElement} element */
function textOf(element) {
  const text = (element.textContent ?? "").trim();
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}
