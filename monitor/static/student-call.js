// The call of one student, beside whatever else is shown of them.

import { CallCard } from "./call-card.js";
import { byId, el } from "./dom.js";
import { ranksOf } from "./queue.js";

/** @import { CallActions } from "./call-actions.js" */
/** @import { ClassStore } from "./store.js" */

export class StudentCall {
  #store;
  #id;
  #actions;
  /** @type {CallCard | undefined} */
  #card;
  element = el("ul", { className: "queue plain", hidden: true }); // while they don't call

  /**
   * @param {ClassStore} store
   * @param {number} studentId
   * @param {CallActions} actions
   * @param {AbortSignal} signal
   */
  constructor(store, studentId, actions, signal) {
    this.#store = store;
    this.#id = studentId;
    this.#actions = actions;
    store.on(["changed", "loaded", "tick"], () => this.#show(), signal);
    this.#show();
  }

  get #userId() {
    return this.#store.byId(this.#id)?.user_id ?? "";
  }

  get isOpen() {
    return this.#store.help.has(this.#userId);
  }

  #show() {
    const request = this.#store.help.get(this.#userId);
    this.element.hidden = !request;
    if (!request) return;
    const { user_id: userId } = request;
    this.#cardOf(userId).update(request, ranksOf(this.#store).get(userId) ?? 0, false);
  }

  /** @param {string} userId */
  #cardOf(userId) {
    if (!this.#card) {
      this.#card = new CallCard(this.#store, (action) => this.#actions.act(userId, action), false);
      this.element.append(this.#card.element);
    }
    return this.#card;
  }

  /**
   * Goes on after the teacher has done something to a call, as `CallList` does.
   *
   * @param {string} userId
   */
  answered(userId) {
    if (!this.element.isConnected || userId !== this.#userId) return; // the student has been left meanwhile
    this.#show();
    if (this.element.hidden) byId("view").focus({ preventScroll: true });
    else this.#card?.focusNext();
  }
}
