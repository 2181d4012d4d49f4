// The calls of a class as a list: one's own come first, then who has waited longest.

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
  const actions = new CallActions(store, (userId) => list.answered(userId));
  const list = new CallList(store, actions, signal);
  const duty = new DutyBar(store, signal);
  root.append(
    el("p", { className: "hint", textContent: t("queue_rule", HELP_SECONDS) }),
    el("div", { className: "bar" }, actions.name.element, duty.element),
    list.element,
    actions.undo.element,
  );
}

/** The calls, to be placed by any view. */
export class CallList {
  #store;
  #actions;
  #list = el("ol", { className: "queue" });
  #empty = el("p");
  element = el("div", {}, this.#list, this.#empty);
  /** @type {Map<string, CallCard>} */
  #cards = new Map(); // by user_id

  /**
   * @param {ClassStore} store
   * @param {CallActions} actions
   * @param {AbortSignal} signal
   */
  constructor(store, actions, signal) {
    this.#store = store;
    this.#actions = actions;
    store.on(["changed", "loaded", "tick", "connection", "duties"], () => this.#show(), signal);
    this.#show();
  }

  #show() {
    const { help } = this.#store;
    for (const userId of this.#cards.keys()) if (!help.has(userId)) this.#cards.delete(userId);
    const { all, open } = queueOf(this.#store);
    arrange(
      this.#list,
      all.map((request) => this.#card(request, open.indexOf(request) + 1).element),
    );
    this.#empty.hidden = all.length > 0;
    setText(this.#empty, t(this.#store.isCurrent ? "queue_empty" : "queue_unknown"));
  }

  /**
   * @param {HelpRequest} request
   * @param {number} rank in the queue, 0: it is taken
   */
  #card(request, rank) {
    const { user_id: userId } = request;
    let card = this.#cards.get(userId);
    if (!card) {
      card = new CallCard(this.#store, (action) => this.#actions.act(userId, action));
      this.#cards.set(userId, card);
    }
    card.update(request, rank, this.#store.duties.isOfOthers(request));
    return card;
  }

  /**
   * Goes on after the teacher has done something to a call: the button that had the focus has disappeared.
   *
   * @param {string} userId
   */
  answered(userId) {
    if (!this.element.isConnected) return; // the view has been left meanwhile
    this.#show();
    const card = this.#cards.get(userId);
    if (card) card.focusNext();
    else byId("view").focus({ preventScroll: true });
  }
}
