// What a teacher does about calls: one way for all views, under the name that they have entered.

import { send } from "./api.js";
import { UndoLine } from "./call-undo.js";
import { failure, toast } from "./dom.js";
import { t } from "./i18n.js";
import { NameField } from "./teacher-name.js";

/** @import { ClassStore } from "./store.js" */

/** @typedef {"take" | "resolve" | "return"} Action */

export class CallActions {
  #store;
  #done;
  name;
  undo = new UndoLine();

  /**
   * `name` and `undo` have elements that the view places.
   *
   * @param {ClassStore} store
   * @param {(userId: string) => void} done after the student's call has changed
   */
  constructor(store, done) {
    this.#store = store;
    this.#done = done;
    this.name = new NameField(() => store.duties.sign());
  }

  /**
   * @param {string} userId
   * @param {Action} action
   */
  async act(userId, action) {
    const request = this.#store.help.get(userId);
    const name = this.name.ask();
    if (!name || !request) return;
    const path = `classes/${this.#store.id}/help/${request.student_id}`;
    try {
      this.#store.answer(await send("POST", `${path}/${action}`, { name }));
      this.undo.offer(t(`done_${action}`, request.name ?? userId), () =>
        send("POST", `${path}/undo`, { name }),
      );
      this.#done(userId);
    } catch (error) {
      toast(failure(error));
    }
  }
}
