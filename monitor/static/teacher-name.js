// The name under which a teacher's answers to calls are shown to others.

import { el, toast } from "./dom.js";
import { t } from "./i18n.js";

const NAME_KEY = "name"; // in the browser's storage
const MAX_NAME = 200; // characters

/** The teacher's name; empty until they have entered it. */
export function teacherName() {
  return localStorage.getItem(NAME_KEY)?.trim() ?? "";
}

/** Where the name is entered: one for each view that needs it. */
export class NameField {
  #input = el("input", {
    type: "text",
    autocomplete: "name",
    maxLength: MAX_NAME,
    value: teacherName(),
  });
  element = el("label", {}, `${t("your_name")} `, this.#input);

  /** @param {() => void} [changed] after the name has been changed */
  constructor(changed) {
    // Not at each key: others would hear of half a name.
    this.#input.onchange = () => {
      this.#keep();
      changed?.();
    };
  }

  #keep() {
    localStorage.setItem(NAME_KEY, this.#input.value.trim());
  }

  /** The name; without one asks for it, and returns an empty one. */
  ask() {
    if (this.#input.matches(":focus")) this.#keep(); // a touch on a button may leave the focus here
    const name = teacherName();
    if (!name) {
      toast(t("name_first"));
      this.#input.focus();
    }
    return name;
  }
}
