// Forms that send something to the API.

import { el, failure, toast } from "./dom.js";

/** @typedef {Record<string, string>} Values by the field's name; a checkbox is "" or "on" */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {"input" | "textarea"} [tag]
 * @property {[string, string][]} [options] value and text of each: a select in place of the tag
 * @property {Record<string, unknown>} [properties] of the input; of a select its `value`
 */

/**
 * A form that calls `submit` and shows what goes wrong.
 *
 * @param {object} options
 * @param {string} [options.heading]
 * @param {"h2" | "h3"} [options.level] of the heading
 * @param {Field[]} options.fields
 * @param {string} options.button
 * @param {(values: Values) => Promise<void>} options.submit
 */
export function makeForm({ heading, level = "h3", fields, button, submit }) {
  const inputs = fields.map(inputOf);
  const rows = fields.map(({ label }, place) => el("label", {}, label, inputs[place]));
  const form = el(
    "form",
    { className: "card" },
    heading ? el(level, { textContent: heading }) : null,
    rows,
    el("button", { type: "submit", textContent: button }),
  );
  let sent = ""; // and not answered yet
  form.onsubmit = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(inputs.map((input) => [input.name, valueOf(input)]));
    const text = JSON.stringify(values);
    if (text === sent) return; // a double click; a button that is disabled would lose the focus
    sent = text;
    try {
      await submit(values);
    } catch (error) {
      toast(failure(error));
    } finally {
      if (sent === text) sent = "";
    }
  };
  return form;
}

/** @param {Field} field */
function inputOf({ name, tag = "input", options, properties = {} }) {
  if (!options) return el(tag, { name, ...properties });
  const select = makeSelect(options, { name });
  if (properties.value !== undefined) select.value = String(properties.value);
  return select;
}

/** @param {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} input */
function valueOf(input) {
  if (input instanceof HTMLInputElement && input.type === "checkbox")
    return input.checked ? "on" : "";
  return input.value.trim();
}

/**
 * A time of the API as an input shows it, in the browser's zone.
 *
 * @param {string | null | undefined} time
 */
export function toLocalInput(time) {
  if (!time) return "";
  const at = new Date(time);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/**
 * @param {[string | number, string][]} options value and text of each
 * @param {Record<string, unknown>} [properties]
 */
export function makeSelect(options, properties = {}) {
  return el(
    "select",
    properties,
    options.map(([value, textContent]) => el("option", { value, textContent })),
  );
}
