// Elements. What people wrote gets in as text only.

import { t } from "./i18n.js";

const MAX_TOASTS = 2;
const TOAST_LASTS = 12_000; // ms
const MAX_SAID = 10; // announcements that stay for so long, too
const TOAST_STEP = 250; // ms
// A finger that has tapped hovers on, and a click leaves the focus behind.
const HELD = matchMedia("(hover: hover)").matches ? ":hover, :has(:focus-visible)" : ":has(:focus-visible)";

/** @typedef {Node | string | null | undefined} Child */

/**
 * Makes an element. A property that the element lacks becomes an attribute, unless it is null,
 * undefined or false; children that are null or undefined are left out.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "list" && name !== "form")
      Object.assign(element, { [name]: value });
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * @param {string} textContent
 * @param {() => void} [onclick]
 */
export function button(textContent, onclick) {
  return el("button", { type: "button", textContent, ...(onclick && { onclick }) });
}

/**
 * Where an error is said in place of what failed.
 */
export function alertLine() {
  return el("p", { className: "trouble", role: "alert" });
}

/**
 * Code or output; it takes the focus, so that a keyboard can scroll it, and has a name, so that a
 * screen reader says what it is.
 *
 * @param {string} textContent
 * @param {string} [className]
 * @param {"source_code" | "source" | "command" | "output" | "error"} [label]
 */
export function pre(textContent, className = "", label = "source_code") {
  return el("pre", { tabIndex: 0, className, textContent, role: "group", ariaLabel: t(label) });
}

/**
 * @param {(string | null | undefined | false)[]} facts
 */
export function joinFacts(facts) {
  return facts.filter(Boolean).join(" · ");
}

/**
 * @param {string} id of an element in index.html
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page lacks #${id}`);
  return element;
}

/**
 * A text that is there already is changed in place, for a new one costs memory at each change.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  const { firstChild } = element;
  if (element.textContent === text) return;
  if (text && firstChild instanceof Text && !firstChild.nextSibling) firstChild.data = text;
  else element.textContent = text;
}

/**
 * Puts the children in this order, moving only those that are elsewhere; a focused one keeps the
 * focus.
 *
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const active = document.activeElement;
  const focused = active instanceof HTMLElement && parent.contains(active) ? active : null;
  let place = parent.firstChild;
  for (const child of wanted) {
    if (child === place) place = place.nextSibling;
    else parent.insertBefore(child, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus();
}

/**
 * Shows a message for a while, in the strip that messages have to themselves, and has screen readers
 * say it. It stays while somebody points at the strip or has the focus there.
 *
 * @param {string} text
 * @param {string} [href] what the message leads to
 */
export function toast(text, href) {
  const close = el("button", {
    type: "button",
    className: "close",
    textContent: "×",
    ariaLabel: t("close"),
  });
  const box = el(
    "p",
    { className: "toast", title: text },
    el(href ? "a" : "span", { href, textContent: text }),
    close,
  );
  const strip = byId("toasts");
  close.onclick = () => {
    box.remove();
    byId("view").focus({ preventScroll: true });
  };
  strip.append(box);
  while (strip.childElementCount > MAX_TOASTS) oldest(strip)?.remove();
  removeLater(box, strip);
  announce(text);
}

// Not the one whose button has the focus.
/** @param {Element} strip */
function oldest(strip) {
  return [...strip.children].find((each) => !each.matches(":focus-within"));
}

/**
 * @param {Element} box
 * @param {Element} strip
 */
function removeLater(box, strip) {
  let left = TOAST_LASTS;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    if (!strip.matches(HELD)) left -= now - last;
    last = now;
    if (left > 0 && box.isConnected) return;
    clearInterval(timer);
    box.remove();
  }, TOAST_STEP);
}

/**
 * Has screen readers say it, when they have said what they are at.
 *
 * @param {string} text
 */
export function announce(text) {
  const said = el("p", { textContent: text });
  const announcer = byId("announcer");
  announcer.append(said);
  if (announcer.childElementCount > MAX_SAID) announcer.firstElementChild?.remove();
  setTimeout(() => said.remove(), TOAST_LASTS);
}

/** @param {unknown} error */
export function failure(error) {
  return t("failed", error instanceof Error ? error.message : String(error));
}
