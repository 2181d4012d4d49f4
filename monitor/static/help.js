// The help queue: one's own calls come first, then who has waited longest.

import { CallActions } from "./call-actions.js";
import { CallCard } from "./call-card.js";
import { HELP_SECONDS } from "./config.js";
import { arrange, byId, el, setText } from "./dom.js";
import { DutyBar } from "./duty.js";
import { t } from "./i18n.js";
import { queueOf } from "./queue.js";

/** @import { ClassStore } from "./store.js" */
/** @import { HelpRequest } from "./types.d.ts" */

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 */
export function helpView(root, store, signal) {
  root.append(
    el("p", { className: "hint", textContent: t("queue_rule", HELP_SECONDS) }),
    callQueue(store, signal),
  );
}

/**
 * The calls of a class with the teacher's name above, to be placed by any view.
 *
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 */
export function callQueue(store, signal) {
  const queue = new CallQueue(store, signal);
  store.on(["changed", "loaded", "tick", "connection", "duties"], () => queue.show(), signal);
  queue.show();
  return queue.element;
}

class CallQueue {
  #store;
  #duty;
  #actions;
  #list = el("ol", { className: "queue" });
  #empty = el("p");
  /** @type {Map<string, CallCard>} */
  #cards = new Map(); // by user_id

  /**
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   */
  constructor(store, signal) {
    this.#store = store;
    this.#duty = new DutyBar(store, signal);
    const changed = (/** @type {string} */ userId) => this.#changed(userId);
    this.#actions = new CallActions(store, changed, () => store.duties.sign());
    this.element = el(
      "div",
      {},
      el("div", { className: "bar" }, this.#actions.name.element, this.#duty.element),
      this.#list,
      this.#empty,
      this.#actions.undo.element,
    );
  }

  show() {
    const { help } = this.#store;
    for (const userId of this.#cards.keys()) if (!help.has(userId)) this.#cards.delete(userId);
    const { all } = queueOf(this.#store);
    arrange(
      this.#list,
      all.map((request) => this.#card(request).element),
    );
    this.#empty.hidden = all.length > 0;
    setText(this.#empty, t(this.#store.isCurrent ? "queue_empty" : "queue_unknown"));
  }

  /** @param {HelpRequest} request */
  #card(request) {
    const { user_id: userId } = request;
    let card = this.#cards.get(userId);
    if (!card) {
      card = new CallCard(this.#store, (action) => this.#actions.act(userId, action));
      this.#cards.set(userId, card);
    }
    card.update(request, this.#store.duties.isOfOthers(request));
    return card;
  }

  // The button that had the focus has disappeared.
  /** @param {string} userId */
  #changed(userId) {
    this.show();
    const card = this.#cards.get(userId);
    if (card) card.focusNext();
    else byId("view").focus({ preventScroll: true });
  }
}
