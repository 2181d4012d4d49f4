// Forms that send something to the API.

import { el, toast } from "./dom.js";
import { t } from "./texts.js";

// `fields` are [name, label, properties of the input]; `submit` gets their values by name.
export function form(heading, fields, button, submit) {
  const inputs = fields.map(([name, , properties = {}]) => {
    const { tag = "input", ...others } = properties;
    return el(tag, { name, ...others });
  });
  const rows = fields.map(([, label], place) => el("label", {}, label, inputs[place]));
  const made = el(
    "form",
    { className: "card" },
    heading ? el("h3", { textContent: heading }) : null,
    rows,
    el("button", { type: "submit", textContent: button }),
  );
  made.onsubmit = async (event) => {
    event.preventDefault();
    try {
      await submit(Object.fromEntries(inputs.map((input) => [input.name, value(input)])));
    } catch (error) {
      toast(t("failed", error.message));
    }
  };
  return made;
}

function value(input) {
  return input.type === "checkbox" ? input.checked : input.value.trim();
}

// A time of the API as an input shows it, in the browser's zone.
export function localTime(time) {
  if (!time) return "";
  const at = new Date(time);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
