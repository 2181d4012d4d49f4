// A class to manage: its assignments, its roster, itself.

import { call } from "./api.js";
import { Assignments } from "./assignments.js";
import { classForm, copyForm, newClassForm } from "./classes.js";
import { el, failure, toast } from "./dom.js";
import { Keys } from "./keys.js";
import { Notifications } from "./notifications.js";
import { Roster } from "./roster.js";
import { Tokens } from "./tokens.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Class } from "./types.d.ts" */

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 */
export async function manageView(root, store, signal) {
  const assignments = new Assignments(store, signal);
  const roster = new Roster(store);
  const tokens = new Tokens(store);
  const keys = new Keys(store);
  const notifications = new Notifications(store);
  const forms = el("section");
  root.append(
    el(
      "div",
      { className: "columns" },
      el(
        "div",
        {},
        assignments.element,
        roster.element,
        tokens.element,
        keys.element,
        notifications.element,
      ),
      forms,
    ),
  );
  try {
    /** @type {[Class, void, void, void, void, void]} */
    const [current] = await Promise.all([
      call(`classes/${store.id}`),
      assignments.load(),
      roster.load(),
      tokens.load(),
      keys.load(),
      notifications.load(),
    ]);
    forms.replaceChildren(
      assignments.form(),
      classForm(current),
      copyForm(current),
      newClassForm(),
    );
  } catch (error) {
    toast(failure(error));
  }
}
