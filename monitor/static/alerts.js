// New calls for the teacher at this page, in every view: counted in the title, told by the bell, said by
// screen readers. They are no messages on the screen: the view shows them.

import { Bell } from "./bell.js";
import { announce } from "./dom.js";
import { t } from "./i18n.js";
import { showWaiting } from "./page-title.js";
import { queueOf } from "./queue.js";

/** @import { ClassStore } from "./store.js" */
/** @import { HelpRequest } from "./types.d.ts" */

export class CallAlerts {
  #bell = new Bell();
  element = this.#bell.element;
  /** @type {AbortController | null} */
  #following = null;

  /**
   * Looks after a class from now on, in place of the one before. What waits there already is no news.
   *
   * @param {ClassStore | null} store
   * @param {string} [className]
   */
  follow(store, className = "") {
    this.#following?.abort();
    this.#following = null;
    this.element.hidden = !store;
    showWaiting(0);
    if (!store) return;
    this.#following = new AbortController();
    const news = new News();
    const look = () => {
      if (!store.ready || !store.duties.ready) return;
      const { waiting } = queueOf(store);
      showWaiting(waiting.length);
      const calls = news.of(waiting);
      if (calls.length) this.#tell(store, calls, t("calls_in", waiting.length, className));
    };
    store.on(["changed", "loaded", "duties", "tick"], look, this.#following.signal);
  }

  /**
   * @param {ClassStore} store
   * @param {HelpRequest[]} calls
   * @param {string} text
   */
  #tell(store, calls, text) {
    const [{ name, user_id: userId }] = calls;
    announce(calls.length > 1 ? t("asked_by_many", calls.length) : t("asked", name ?? userId));
    this.#bell.ring({ text, href: `#/class/${store.id}/lesson` });
  }
}

/** Which calls have not been told of. One that was put back, or undone, has. */
class News {
  /** @type {Map<string, number> | null} */
  #told = null; // by user_id: when the latest call that was told of began, in ms

  /**
   * Those of them that are news; none of the first.
   *
   * @param {HelpRequest[]} waiting
   */
  of(waiting) {
    const isFirst = this.#told === null;
    const told = (this.#told ??= new Map());
    const calls = waiting.filter(({ user_id: userId, asked_at: askedAt }) => {
      const at = Date.parse(askedAt);
      const isNew = at > (told.get(userId) ?? -Infinity);
      if (isNew) told.set(userId, at);
      return isNew;
    });
    return isFirst ? [] : calls;
  }
}
