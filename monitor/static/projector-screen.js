// What stands in place of the page while it is projected, whatever view the address names: a title, what
// was announced, and the button that ends it. A lesson adds its seats (projector.js).

import { askBefore } from "./dialog.js";
import { button, byId, el, setText } from "./dom.js";
import { t } from "./i18n.js";
import { PROJECTED_CHANGED, isProjected, setProjected } from "./projected.js";

/** @import { ClassStore } from "./store.js" */

class ProjectorScreen {
  #title = el("h1");
  #message = el("p", { role: "status" });
  #clear = el("button", {
    type: "button",
    className: "close",
    textContent: "×",
    ariaLabel: t("clear_notice"),
  });
  #seats = el("a", { textContent: t("projector_seats") });
  #elsewhere = el("p", { className: "projector-line" }, this.#seats);
  #content = el("div", { className: "projector-content" });
  /** @type {ClassStore | null} */
  #store = null;
  #element;

  constructor() {
    const off = button(t("projector_off"), () => this.#leave());
    off.className = "quiet";
    this.#clear.onclick = () => {
      this.#keep("");
      this.#element.focus();
    };
    this.#element = el(
      "main",
      { className: "projector", tabIndex: -1, ariaLabel: t("projector_on") },
      el("div", { className: "line" }, this.#title, off),
      el("div", { className: "projector-notice" }, this.#message, this.#clear),
      this.#content,
    );
    addEventListener(PROJECTED_CHANGED, () => this.#toggle());
  }

  /** To be called when the page starts: it may have been projected before. */
  start() {
    this.follow(null);
    this.#toggle();
  }

  /**
   * Shows what is announced in this class from now on.
   *
   * @param {ClassStore | null} store
   */
  follow(store) {
    this.#store = store;
    this.#showNotice();
    this.#empty();
    store?.on(["notice"], ({ message }) => {
      if (store === this.#store) this.#keep(message);
    });
  }

  /**
   * Shows what a view has for the class until the signal ends that.
   *
   * @param {HTMLElement[]} content
   * @param {AbortSignal} signal
   */
  display(content, signal) {
    this.#content.replaceChildren(...content);
    signal.addEventListener("abort", () => this.#empty());
  }

  /** @param {string} title of what fills the screen */
  entitle(title) {
    setText(this.#title, title);
  }

  #empty() {
    this.entitle(this.#store?.current.name ?? t("title"));
    this.#elsewhere.hidden = !this.#store;
    this.#seats.href = `#/class/${this.#store?.id}/lesson`;
    this.#content.replaceChildren(this.#elsewhere);
  }

  get #noticeKey() {
    return `notice-${this.#store?.id}`; // in the tab's storage
  }

  /** @param {string} message empty: none */
  #keep(message) {
    if (message) sessionStorage.setItem(this.#noticeKey, message);
    else sessionStorage.removeItem(this.#noticeKey);
    this.#showNotice();
  }

  #showNotice() {
    const message = sessionStorage.getItem(this.#noticeKey) ?? "";
    setText(this.#message, message);
    this.#clear.hidden = !message;
  }

  #toggle() {
    const isOn = isProjected();
    document.body.classList.toggle("is-projected", isOn);
    if (!isOn) this.#element.remove();
    else {
      document.body.append(this.#element);
      this.#element.focus();
    }
  }

  // Not by a key: names never appear by accident.
  #leave() {
    const task = async () => {
      setProjected(false);
      byId("view").focus({ preventScroll: true });
    };
    askBefore({ question: t("projector_sure"), confirm: t("projector_off"), task });
  }
}

export const projectorScreen = new ProjectorScreen();
