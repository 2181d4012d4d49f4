// Signing in at the server's provider. On a server without one a token is asked for (token.js).

import { LOGIN } from "./config.js";
import { button, el, toast } from "./dom.js";
import { t } from "./i18n.js";
import { askToken, forgetToken, isAskingToken } from "./token.js";

// What only the server's own pages send: see docs/security.md.
export const OWN_PAGE = { "X-Cell-Monitor": "page" };

const FAILURES = /** @type {const} */ (["expired", "refused", "no-role", "unavailable"]);

let wasSignedIn = false;
/** @type {Promise<void> | null} */
let asking = null;

/** To be called when the server has answered somebody who is signed in. */
export function noteSignedIn() {
  wasSignedIn = true;
}

/**
 * Resolves when there is another credential. Where people sign in it doesn't: the browser leaves,
 * and comes back to the same view.
 */
export function askCredential() {
  if (!LOGIN) return askToken();
  forgetToken();
  asking ??= new Promise(() => showDialog());
  return asking;
}

/** Whether the page waits for somebody to sign in. */
export function isAskingCredential() {
  return asking !== null || isAskingToken();
}

/** Who is signed in, and how to sign out; filled once that is known. */
export function signedIn() {
  const line = el("span", { className: "signed-in", hidden: true });
  if (LOGIN) showWho(line);
  return line;
}

function showDialog() {
  const failure = takeFailure();
  const title = t(wasSignedIn ? "login_ended" : "sign_in");
  const link = el("a", { className: "button", textContent: t("sign_in"), autofocus: true });
  const aim = () => (link.href = `login?next=${encodeURIComponent(location.hash)}`);
  aim();
  addEventListener("hashchange", aim);
  const hint = LOGIN === "jupyterhub" ? "sign_in_jupyterhub" : "sign_in_oidc";
  const dialog = el(
    "dialog",
    { ariaLabel: title },
    el(
      "div",
      { className: "card sign-in" },
      el("h2", { textContent: title }),
      failure && el("p", { className: "trouble", textContent: t(`login_${failure}`) }),
      el("p", { textContent: t(wasSignedIn ? "login_ended_hint" : hint) }),
      link,
    ),
  );
  dialog.oncancel = (event) => event.preventDefault();
  document.body.append(dialog);
  dialog.showModal();
  document.addEventListener("visibilitychange", startAgainIfSignedIn);
}

// Somebody may have signed in on another tab meanwhile.
async function startAgainIfSignedIn() {
  if (document.hidden) return;
  const answer = await fetch("login/session").catch(() => null);
  if (answer?.ok) location.reload();
}

/** Why the sign-in failed from which the browser has come back, if it has. */
function takeFailure() {
  const url = new URL(location.href);
  const failure = FAILURES.find((each) => each === url.searchParams.get("login"));
  url.searchParams.delete("login");
  history.replaceState(null, "", url);
  return failure;
}

/** @param {HTMLElement} line */
async function showWho(line) {
  const answer = await fetch("login/session").catch(() => null);
  if (answer?.status === 503) {
    line.append(button(t("sign_out"), signOut)); // needs nobody who is away
  } else if (answer?.ok) {
    /** @type {{ name: string }} */
    const { name } = await answer.json();
    const who = el("span", { textContent: t("signed_in_as", name) });
    line.append(who, button(t("sign_out"), signOut));
  } else {
    return; // whoever asks for the classes learns why
  }
  line.hidden = false;
}

async function signOut() {
  forgetToken();
  const answer = await fetch("logout", { method: "POST", headers: OWN_PAGE }).catch(() => null);
  if (!answer?.ok) {
    toast(t("sign_out_failed"));
    return;
  }
  /** @type {{ url: string }} */
  const { url } = await answer.json();
  location.assign(url);
}
