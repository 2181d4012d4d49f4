// The join page: copies the address, and gets a student's own one, of who is signed in or says who
// they are.

import { copyFrom } from "./copy.js";

const SHOWN = 3_000; // ms that a button says it has copied
const OWN_PAGE = { "X-Cell-Monitor": "page" }; // see docs/security.md

/** @typedef {{ user_id: string, name: string, role: string }} Person */

for (const button of document.querySelectorAll("button")) {
  const field = document.getElementById(button.dataset.copies ?? "");
  if (field instanceof HTMLTextAreaElement) copyOnClick(button, field);
}
for (const form of document.querySelectorAll("form")) {
  form.onsubmit = (event) => {
    event.preventDefault();
    getAddress(form);
  };
  if (content("login") && form.closest("[data-credential=token]")) showWho(form);
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
    const userId = String(new FormData(form).get("user_id")).trim();
    const answer = await claim(userId);
    if (!answer.ok) {
      const who = content("login") ? await showWho(form) : null; // another tab may have signed in
      const isOther = who?.role === "student" && userId && userId !== who.user_id;
      trouble.textContent = reason(form, answer.status, Boolean(isOther));
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

/**
 * Says above the form who is signed in, if anybody, and resolves to that. A student may leave the
 * ID out then.
 *
 * @param {HTMLFormElement} form
 * @returns {Promise<Person | null>}
 */
async function showWho(form) {
  const answer = await fetch("../login/session").catch(() => null);
  /** @type {Person | null} */
  const who = answer?.ok ? await answer.json() : null;
  const line = form.parentElement?.querySelector(".signed-in");
  if (!(line instanceof HTMLElement)) return who;
  const [said, hint] = line.querySelectorAll("span");
  const out = line.querySelector("button");
  if (who && said) said.textContent = (line.dataset.said ?? "").replace("{0}", () => known(who));
  if (hint) hint.hidden = who?.role !== "student";
  if (out) out.onclick = () => signOut(form);
  line.hidden = who === null;
  const field = form.querySelector("input");
  if (field) field.required = who?.role !== "student";
  return who;
}

/** @param {Person} who */
function known({ name, user_id: id }) {
  return name === id ? id : `${name} (${id})`;
}

/** @param {HTMLFormElement} form */
async function signOut(form) {
  const answer = await fetch("../logout", { method: "POST", headers: OWN_PAGE }).catch(() => null);
  const trouble = form.querySelector("[role=alert]");
  if (answer?.ok) location.assign((await answer.json()).url);
  else if (trouble) trouble.textContent = reason(form, 0);
}

/** @param {string} userId empty: that of who is signed in */
function claim(userId) {
  const api = content("api");
  const code = location.pathname.split("/").at(-1);
  return fetch(`../${api ? `${api}/` : ""}join/${code}/token`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...OWN_PAGE },
    body: JSON.stringify({ user_id: userId || null }),
  });
}

/**
 * @param {HTMLFormElement} form
 * @param {number} status of the answer; 0: there was none
 * @param {boolean} [isOther] than the student who is signed in
 */
function reason(form, status, isOther) {
  const { unknown = "", taken = "", other = "", failed = "" } = form.dataset;
  if (status === 404) return unknown;
  if (status === 409) return isOther ? other : taken;
  return failed;
}

/** @param {string} name */
function content(name) {
  return document.querySelector(`meta[name=${name}]`)?.getAttribute("content") ?? "";
}
