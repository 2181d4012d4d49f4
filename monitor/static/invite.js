// The invitation of a class: its link and QR code, to show, copy, make anew and end.

import { call } from "./api.js";
import { copyFrom } from "./copy.js";
import { askBefore } from "./dialog.js";
import { alertLine, button, el, failure, toast } from "./dom.js";
import { t } from "./i18n.js";

/** @import { InviteLink } from "./types.d.ts" */

const THIS_COMPUTER = new Set(["localhost", "127.0.0.1", "[::1]"]);

let isOpening = false; // once it is open, nothing else can be clicked

/**
 * Shows the class's invitation; makes one if there is none.
 *
 * @param {number} classId
 */
export async function openInvite(classId) {
  if (isOpening) return;
  isOpening = true;
  try {
    new InviteDialog(await post(`classes/${classId}/invite`)).open();
  } catch (error) {
    toast(failure(error));
  } finally {
    isOpening = false;
  }
}

/**
 * @param {string} path
 * @returns {Promise<InviteLink>}
 */
function post(path) {
  return call(path, { method: "POST" });
}

class InviteDialog {
  #path;
  #invite;
  #qr = el("img", { className: "qr", alt: t("invite_qr") });
  #link = el("input", { readOnly: true, ariaLabel: t("invite_link") });
  #ownTokens = el("input", { type: "checkbox" });
  #copy = button(t("copy"), () => this.#copyLink());
  #hint = alertLine();
  #dialog;

  /** @param {InviteLink} invite */
  constructor(invite) {
    this.#path = `classes/${invite.class_id}/invite`;
    this.#invite = invite;
    const end = button(t("end_invite"), () => this.#end());
    end.className = "danger";
    const heading = t("invite_to", invite.class_name);
    const close = button(t("close"), () => this.#dialog.close());
    close.autofocus = true;
    this.#dialog = el(
      "dialog",
      { className: "card invite", ariaLabel: heading },
      el("h2", { textContent: heading }),
      this.#qr,
      el("div", { className: "line" }, this.#link, this.#copy),
      this.#hint,
      el("p", { className: "hint", textContent: t("invite_how") }),
      el("label", {}, this.#ownTokens, ` ${t("own_tokens")}`),
      el("div", { className: "line" }, close, button(t("rotate"), () => this.#rotate()), end),
    );
    this.#ownTokens.onchange = () => this.#rotate(this.#ownTokens.checked);
    this.#dialog.onclose = () => this.#dialog.remove();
    this.#show(invite);
  }

  open() {
    document.body.append(this.#dialog);
    this.#dialog.showModal();
  }

  /** @param {InviteLink} invite */
  #show(invite) {
    this.#qr.src = invite.qr_image;
    this.#link.value = invite.url;
    this.#copy.textContent = t("copy");
    this.#invite = invite;
    this.#ownTokens.checked = invite.own_tokens;
    const local = THIS_COMPUTER.has(new URL(invite.url).hostname);
    this.#hint.textContent = local ? t("invite_here_only", invite.class_name) : "";
  }

  async #copyLink() {
    if (await copyFrom(this.#link)) this.#copy.textContent = t("copied");
  }

  /** @param {boolean} [ownTokens] unless as before */
  #rotate(ownTokens = this.#invite.own_tokens) {
    this.#ownTokens.checked = this.#invite.own_tokens; // until it is so
    askBefore({
      question: t(ownTokens ? "rotate_to_tokens_sure" : "rotate_sure"),
      confirm: t("rotate"),
      task: async () => this.#show(await post(`${this.#path}/rotate?own_tokens=${ownTokens}`)),
    });
  }

  #end() {
    askBefore({
      question: t("end_invite_sure"),
      confirm: t("end_invite"),
      task: async () => {
        await call(this.#path, { method: "DELETE" });
        this.#dialog.close();
        toast(t("invite_ended"));
      },
    });
  }
}
