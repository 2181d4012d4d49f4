// For ten seconds, what a teacher has just done to a call can be undone.

import { send } from "./api.js";
import { button, byId, el, failure, toast } from "./dom.js";
import { t } from "./i18n.js";

const UNDO_LASTS = 10_000; // ms; the server accepts it for some seconds longer

/** @typedef {"take" | "resolve" | "return"} Action */

export class UndoLine {
  element = el("p", { className: "undo", hidden: true, role: "status" });
  #timer = 0;

  /**
   * @param {Action} action that has been done
   * @param {string} student their name
   * @param {string} path of the call in the API
   * @param {string} name the teacher's
   */
  offer(action, student, path, name) {
    clearTimeout(this.#timer);
    const undo = button(t("undo"), () => this.#undo(path, name));
    undo.setAttribute("aria-label", `${t("undo")} (${t(`done_${action}`, student)})`);
    this.element.replaceChildren(el("span", { textContent: t(`done_${action}`, student) }), undo);
    this.element.hidden = false;
    this.#timer = setTimeout(() => this.#close(), UNDO_LASTS);
  }

  /**
   * @param {string} path
   * @param {string} name
   */
  async #undo(path, name) {
    this.#close();
    try {
      await send("POST", `${path}/undo`, { name });
    } catch (error) {
      toast(failure(error));
    }
  }

  #close() {
    clearTimeout(this.#timer);
    if (this.element.contains(document.activeElement)) byId("view").focus({ preventScroll: true });
    this.element.hidden = true;
  }
}
