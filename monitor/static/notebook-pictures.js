// Pictures in a submitted notebook. SVG stays in an <img>: there it can run and load nothing.

import { el } from "./dom.js";
import { t } from "./i18n.js";
import { joined } from "./notebook-format.js";

const BASE64_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"]; // best first
const SVG = "image/svg+xml";
const EMBEDDED = /data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+/g; // as the server finds them

/** @import { ReadCell } from "./notebook-format.js" */

/**
 * The address of the best picture among the representations of one thing, or null.
 *
 * @param {Record<string, unknown>} data by media type
 * @returns {string | null}
 */
export function pictureAddress(data) {
  for (const type of BASE64_TYPES) {
    const base64 = joined(data[type]).replaceAll(/\s/g, "");
    if (/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return `data:${type};base64,${base64}`;
  }
  const svg = joined(data[SVG]);
  return svg ? svgAddress(svg) : null;
}

/** @param {string} text as it is, or in base64 as in attachments */
function svgAddress(text) {
  const base64 = text.replaceAll(/\s/g, "");
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return `data:${SVG};base64,${base64}`;
  return `data:${SVG};charset=utf-8,${encodeURIComponent(text.replaceAll(/\p{Surrogate}/gu, "\ufffd"))}`;
}

/**
 * An output that is a picture, or a note if the browser can't read it.
 *
 * @param {string} src
 */
export function outputPicture(src) {
  const img = el("img", { alt: t("output"), src });
  img.onerror = () => img.replaceWith(note(t("picture_broken")));
  return img;
}

/**
 * Gives the pictures of a rendered cell their addresses, and says which are missing.
 *
 * @param {HTMLElement} rendered
 * @param {ReadCell} cell
 */
export function fillPictures(rendered, cell) {
  const embedded = cell.source.match(EMBEDDED) ?? [];
  for (const img of rendered.querySelectorAll("img")) {
    const { attachment, embedded: number } = img.dataset;
    const address =
      attachment === undefined
        ? embedded[Number(number)]
        : pictureAddress(attached(cell, attachment));
    img.alt ||= t("picture_named", attachment ?? "");
    img.onerror = () => img.replaceWith(note(t("picture_broken")));
    if (address) img.src = address;
    else img.replaceWith(note(t("picture_missing", attachment ?? img.alt)));
  }
}

/**
 * @param {ReadCell} cell
 * @param {string} name
 */
function attached({ attachments }, name) {
  const data = Object.hasOwn(attachments, name) ? attachments[name] : null;
  return typeof data === "object" && data !== null ? data : {};
}

/** @param {string} textContent */
function note(textContent) {
  return el("span", { className: "hint", textContent });
}
