// The join page's buttons, which copy a field.

import { copyFrom } from "./copy.js";

const SHOWN = 3_000; // ms that a button says it has copied

for (const button of document.querySelectorAll("button[data-copies]")) {
  if (!(button instanceof HTMLButtonElement)) continue;
  const field = document.getElementById(button.dataset.copies ?? "");
  if (!(field instanceof HTMLTextAreaElement)) continue;
  const label = button.textContent;
  button.hidden = false;
  button.onclick = async () => {
    if (!(await copyFrom(field))) return;
    button.textContent = button.dataset.copied ?? label;
    setTimeout(() => (button.textContent = label), SHOWN);
  };
}
