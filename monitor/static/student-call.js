// The call of one student, beside whatever else is shown of them.

import { CallActions } from "./call-actions.js";
import { CallCard } from "./call-card.js";
import { byId, el } from "./dom.js";
import { teacherName } from "./teacher-name.js";

/** @import { ClassStore } from "./store.js" */

/**
 * An element with the student's call and its buttons, empty while they don't call.
 *
 * @param {ClassStore} store
 * @param {number} studentId
 * @param {AbortSignal} signal
 */
export function studentCall(store, studentId, signal) {
  const actions = new CallActions(store, () => {
    show();
    if (list.hidden) byId("view").focus({ preventScroll: true });
    else card?.focusNext();
  });
  const list = el("ul", { className: "queue plain", hidden: true });
  const name = el("div", { className: "bar", hidden: true }, actions.name.element);
  /** @type {CallCard | undefined} */
  let card;

  function show() {
    const userId = store.byId(studentId)?.user_id ?? "";
    const request = store.help.get(userId);
    list.hidden = !request;
    name.hidden = !request || (Boolean(teacherName()) && !name.matches(":focus-within"));
    if (!request) return;
    if (!card) {
      card = new CallCard(store, (action) => actions.act(userId, action), false);
      list.append(card.element);
    }
    card.update(request, false);
  }

  store.on(["changed", "loaded", "tick"], show, signal);
  show();
  return el("div", {}, name, list, actions.undo.element);
}
