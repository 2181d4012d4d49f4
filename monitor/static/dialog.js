// A question before something is gone for good.

import { el } from "./dom.js";
import { t } from "./texts.js";

// `task` is done if the answer is yes. Where something stands in the way (409), `refused` says what
// can be done about it.
export function askBefore(question, button, task, refused) {
  const trouble = el("p", { className: "trouble", role: "alert" });
  const yes = el("button", { type: "button", className: "danger", textContent: button });
  const no = el("button", { type: "button", textContent: t("cancel"), autofocus: true });
  const dialog = el(
    "dialog",
    { className: "card", ariaLabel: question },
    el("p", { textContent: question }),
    trouble,
    el("div", { className: "line" }, yes, no),
  );
  yes.onclick = async () => {
    try {
      await task();
      dialog.close();
    } catch (error) {
      trouble.textContent = error.status === 409 ? refused : t("failed", error.message);
      yes.hidden = true;
    }
  };
  no.onclick = () => dialog.close();
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
