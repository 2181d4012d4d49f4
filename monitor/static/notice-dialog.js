// A notice to everybody in a class, written where its reason is seen.

import { send } from "./api.js";
import { alertLine, button, el, failure } from "./dom.js";
import { t } from "./i18n.js";

const MAX_LENGTH = 10_000;

/**
 * Asks for the words of a notice, and sends them. The page itself receives it as the others do.
 *
 * @param {number} classId
 * @param {string} text which it begins with
 */
export function tellAll(classId, text) {
  const message = el("textarea", { rows: 4, required: true, maxLength: MAX_LENGTH, value: text });
  const trouble = alertLine();
  const cancel = button(t("cancel"));
  const submit = el("button", { type: "submit", textContent: t("send_notice") });
  const form = el(
    "form",
    {},
    el("label", {}, t("notice_to_all"), message),
    trouble,
    el("div", { className: "line" }, submit, cancel),
  );
  const dialog = el("dialog", { className: "card notice", ariaLabel: t("tell_all") }, form);
  form.onsubmit = async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      await send("POST", "notices", { class_id: classId, message: message.value.trim() });
      dialog.close();
    } catch (error) {
      trouble.textContent = failure(error);
      submit.disabled = false;
    }
  };
  cancel.onclick = () => dialog.close();
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
  message.focus();
  message.setSelectionRange(text.length, text.length);
}
