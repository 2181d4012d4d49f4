// A question before something is deleted for good.

import { ApiError } from "./api.js";
import { alertLine, button, el, failure } from "./dom.js";
import { t } from "./i18n.js";

/**
 * Asks, and runs the task if the answer is yes.
 *
 * @param {object} options
 * @param {string} options.question
 * @param {string} options.confirm the button's text
 * @param {() => Promise<void>} options.task
 * @param {string} [options.conflict] what to do where something stands in the way (409)
 */
export function askBefore({ question, confirm, task, conflict }) {
  const trouble = alertLine();
  const yes = button(confirm);
  yes.className = "danger";
  const no = button(t("cancel"));
  no.autofocus = true;
  const dialog = el(
    "dialog",
    { className: "card", ariaLabel: question },
    el("p", { textContent: question }),
    trouble,
    el("div", { className: "line" }, yes, no),
  );
  yes.onclick = async () => {
    yes.disabled = true; // a second click would do it twice
    try {
      await task();
      dialog.close();
    } catch (error) {
      const conflicts = error instanceof ApiError && error.status === 409;
      trouble.textContent = (conflicts && conflict) || failure(error);
      yes.hidden = true;
    }
  };
  no.onclick = () => dialog.close();
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
