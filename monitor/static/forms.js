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
    el("h3", { textContent: heading }),
    ...rows,
    el("button", { type: "submit", textContent: button }),
  );
  made.onsubmit = async (event) => {
    event.preventDefault();
    try {
      await submit(Object.fromEntries(inputs.map((input) => [input.name, input.value.trim()])));
    } catch (error) {
      toast(t("failed", error.message));
    }
  };
  return made;
}
