// For ten seconds, what a teacher has just done to a call can be undone.

import { button, byId, el, failure, toast } from "./dom.js";
import { t } from "./i18n.js";

const UNDO_LASTS = 10_000; // ms; the server accepts it for some seconds longer

export class UndoLine {
  element = el("p", { className: "undo", hidden: true, role: "status" });
  #timer = 0;

  /**
   * @param {string} done what has been done
   * @param {() => Promise<unknown>} undo
   */
  offer(done, undo) {
    clearTimeout(this.#timer);
    const control = button(t("undo"), async () => {
      this.#close();
      try {
        await undo();
      } catch (error) {
        toast(failure(error));
      }
    });
    control.setAttribute("aria-label", `${t("undo")} (${done})`);
    this.element.replaceChildren(el("span", { textContent: done }), control);
    this.element.hidden = false;
    this.#timer = setTimeout(() => this.#close(), UNDO_LASTS);
  }

  #close() {
    clearTimeout(this.#timer);
    if (this.element.contains(document.activeElement)) byId("view").focus({ preventScroll: true });
    this.element.hidden = true;
  }
}
