// The keys of a lesson, where nobody is writing. Those that are letters can be switched off: speech input and
// slips of the hand press them, too. Kept in the browser.

import { button, el } from "./dom.js";
import { t } from "./i18n.js";
import { isProjected } from "./projected.js";

const LETTERS_KEY = "letter-keys"; // in the browser's storage: "off", or nothing

/**
 * @typedef {object} LessonKeys
 * @property {() => void} next call
 * @property {() => void} take it
 * @property {() => void} back
 * @property {() => void} project
 */

/**
 * @param {AbortSignal} signal
 * @param {LessonKeys} actions
 */
export function lessonKeys(signal, { next, take, back, project }) {
  listen(signal, { n: next, t: take, p: project, Escape: back, "?": openList });
}

/**
 * Has Esc lead back from a view that is left for the lesson.
 *
 * @param {AbortSignal} signal
 * @param {() => void} back
 */
export function backKey(signal, back) {
  listen(signal, { Escape: back });
}

/**
 * @param {AbortSignal} signal
 * @param {Record<string, () => void>} keys what each does
 */
function listen(signal, keys) {
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    const { key, target } = event;
    const isLetter = key.length === 1;
    const name = isLetter ? key.toLowerCase() : key;
    if (isProjected() && name !== "?") return; // what they do would not be seen
    if (event.repeat || (isLetter && !lettersAct())) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!Object.hasOwn(keys, name) || document.querySelector("dialog[open], :popover-open")) return;
    if (target instanceof HTMLElement && target.closest("input, textarea, select")) return;
    event.preventDefault();
    keys[name]();
  };
  document.addEventListener("keydown", press, { signal });
}

/** A button that says which keys there are, and where those that are letters are switched off. */
export function keysButton() {
  return button(t("lesson_keys"), openList);
}

function lettersAct() {
  return localStorage.getItem(LETTERS_KEY) !== "off";
}

function letterSwitch() {
  const box = el("input", { type: "checkbox", checked: lettersAct() });
  box.onchange = () => {
    if (box.checked) localStorage.removeItem(LETTERS_KEY);
    else localStorage.setItem(LETTERS_KEY, "off");
  };
  return el("label", { className: "letter-keys" }, box, ` ${t("letter_keys")}`);
}

function openList() {
  /** @type {[string, string][]} */
  const keys = [
    ["N", t("keys_next")],
    ["T", t("keys_take")],
    ["← → ↑ ↓", t("keys_seats")],
    ["Esc", t("keys_back")],
    ["P", t("keys_projector")],
    ["?", t("keys_list")],
  ];
  const close = button(t("close"), () => dialog.close());
  const dialog = el(
    "dialog",
    { ariaLabel: t("lesson_keys") },
    el("h2", { textContent: t("lesson_keys") }),
    el(
      "dl",
      { className: "keys" },
      keys.flatMap(([key, what]) => [
        el("dt", {}, el("kbd", { textContent: key })),
        el("dd", { textContent: what }),
      ]),
    ),
    letterSwitch(),
    el("p", { className: "hint", textContent: t("letter_keys_hint") }),
    close,
  );
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
