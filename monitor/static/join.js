// The join page: copies the address, and gets a student's own one.

import { copyFrom } from "./copy.js";

const SHOWN = 3_000; // ms that a button says it has copied

for (const button of document.querySelectorAll("button")) {
  const field = document.getElementById(button.dataset.copies ?? "");
  if (field instanceof HTMLTextAreaElement) copyOnClick(button, field);
}
for (const form of document.querySelectorAll("form")) {
  form.onsubmit = (event) => {
    event.preventDefault();
    getAddress(form);
  };
}

/**
 * @param {HTMLButtonElement} button
 * @param {HTMLTextAreaElement} field
 */
function copyOnClick(button, field) {
  const label = button.textContent;
  button.hidden = false;
  button.onclick = async () => {
    if (!(await copyFrom(field))) return;
    button.textContent = button.dataset.copied ?? label;
    setTimeout(() => (button.textContent = label), SHOWN);
  };
}

/** @param {HTMLFormElement} form */
async function getAddress(form) {
  const trouble = form.querySelector("[role=alert]");
  const address = document.getElementById("address");
  if (!trouble || !(address instanceof HTMLTextAreaElement)) return;
  trouble.textContent = "";
  try {
    const answer = await claim(String(new FormData(form).get("user_id")).trim());
    if (!answer.ok) {
      trouble.textContent = reason(form, answer.status);
      return;
    }
    address.value = (await answer.json()).url;
    const mail = document.querySelector("a[href^='mailto:']");
    mail?.setAttribute("href", `mailto:?body=${encodeURIComponent(address.value)}`);
    form.hidden = true;
    document.querySelector("main")?.classList.add("has-address");
    address.focus();
  } catch {
    trouble.textContent = reason(form, 0);
  }
}

/** @param {string} userId */
function claim(userId) {
  const api = document.querySelector("meta[name=api]")?.getAttribute("content");
  const code = location.pathname.split("/").at(-1);
  return fetch(`../${api ? `${api}/` : ""}join/${code}/token`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Cell-Monitor": "page" },
    body: JSON.stringify({ user_id: userId }),
  });
}

/**
 * @param {HTMLFormElement} form
 * @param {number} status of the answer; 0: there was none
 */
function reason(form, status) {
  const { unknown = "", taken = "", failed = "" } = form.dataset;
  if (status === 404) return unknown;
  return status === 409 ? taken : failed;
}
