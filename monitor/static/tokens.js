// Students' own ingest tokens: make, print, confirm, renew, revoke. The page calls them addresses,
// because that is what a student pastes.

import { all, call, send } from "./api.js";
import { isPast } from "./clock.js";
import { askBefore } from "./dialog.js";
import { button, el, failure, toast } from "./dom.js";
import { formatDate, formatTime, t } from "./i18n.js";
import { openSheet } from "./token-sheet.js";

/** @import { TextName } from "./i18n.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Class, IssuedToken, RosterEntry, StudentToken } from "./types.d.ts" */

const MAX_ISSUED = 50; // in one call

export class Tokens {
  element = el("section");
  #classId;
  #className = "";
  /** @type {Map<number, string>} */
  #names = new Map(); // of those on the roster, by student_id

  /** @param {ClassStore} store */
  constructor(store) {
    this.#classId = store.id;
  }

  async load() {
    /** @type {[Class, RosterEntry[], StudentToken[]]} */
    const [{ name }, people, tokens] = await Promise.all([
      call(`classes/${this.#classId}`),
      all(`classes/${this.#classId}/students`),
      all(`student-tokens?class_id=${this.#classId}`),
    ]);
    this.#className = name;
    const students = people.filter((each) => each.role === "student");
    this.#names = new Map(students.map((each) => [each.student_id, each.name ?? each.user_id]));
    const valid = tokens
      .filter((each) => !each.valid_to || !isPast(each.valid_to))
      .sort((one, other) => Number(other.claimed) - Number(one.claimed) || this.#compare(one, other));
    const renewable = students.map((each) => each.student_id);
    this.element.replaceChildren(
      el("h2", { textContent: t("tokens") }),
      el("p", { className: "hint", textContent: t("tokens_rule") }),
      el(
        "div",
        { className: "bar" },
        button(t("tokens_issue"), () => this.#issue()),
        valid.length ? button(t("tokens_renew_all"), () => this.#askToRenew(renewable)) : null,
      ),
      valid.length ? this.#table(valid) : "",
    );
  }

  /** Makes the tokens that are missing, and shows them. */
  async #issue() {
    const issued = await this.#gather(() => this.#post({}));
    if (issued.length) await this.#show(issued);
    else toast(t("tokens_none_left"));
  }

  /** @param {number[]} studentIds */
  #askToRenew(studentIds) {
    const left = [...studentIds];
    askBefore({
      question: t("tokens_renew_sure"),
      confirm: t("tokens_renew_all"),
      task: async () => {
        const issued = await this.#gather(async () => {
          const part = left.splice(0, MAX_ISSUED);
          return part.length ? this.#post({ student_ids: part, renew: true }) : [];
        });
        if (issued.length) await this.#show(issued);
      },
    });
  }

  /**
   * Calls `issue` until it makes no more. If one call fails, the tokens before it still have to be
   * shown: nobody could see them later.
   *
   * @param {() => Promise<IssuedToken[]>} issue
   */
  async #gather(issue) {
    /** @type {IssuedToken[]} */
    const issued = [];
    try {
      for (let more = await issue(); more.length; more = await issue()) issued.push(...more);
    } catch (error) {
      toast(failure(error));
    }
    return issued;
  }

  /**
   * @param {Record<string, unknown>} body
   * @returns {Promise<IssuedToken[]>}
   */
  #post(body) {
    return send("POST", `classes/${this.#classId}/tokens`, body);
  }

  /** @param {IssuedToken[]} issued */
  async #show(issued) {
    const strips = issued.map((token) => ({ token, name: this.#nameOf(token) }));
    openSheet(this.#className, strips);
    await this.load();
  }

  /**
   * @param {StudentToken} one
   * @param {StudentToken} other
   */
  #compare(one, other) {
    return this.#nameOf(one).localeCompare(this.#nameOf(other)) || one.id - other.id;
  }

  /** @param {StudentToken} token */
  #nameOf(token) {
    return this.#names.get(token.student_id) ?? token.user_id;
  }

  /** @param {StudentToken[]} tokens */
  #table(tokens) {
    /** @param {TextName} name */
    const heading = (name) => el("th", { scope: "col", textContent: t(name) });
    const headings = [
      heading("name"),
      heading("token_state"),
      heading("token_issued"),
      heading("token_used"),
      heading("token_actions"),
    ];
    return el(
      "div",
      { className: "scroll card", tabIndex: 0, role: "region", ariaLabel: t("tokens") },
      el(
        "table",
        { className: "people tokens" },
        el("thead", {}, el("tr", {}, headings)),
        el(
          "tbody",
          {},
          tokens.map((token) => this.#row(token)),
        ),
      ),
    );
  }

  /** @param {StudentToken} token */
  #row(token) {
    const name = this.#nameOf(token);
    const used = token.last_used_on ? formatDate(token.last_used_on) : t("token_unused");
    return el(
      "tr",
      {},
      el("th", { scope: "row", title: token.user_id, textContent: name }),
      el("td", { textContent: stateOf(token) }),
      el("td", { textContent: formatDate(token.created_at) }),
      el("td", { textContent: used }),
      el("td", {}, el("div", { className: "line" }, this.#actions(token, name))),
    );
  }

  /**
   * @param {StudentToken} token
   * @param {string} name
   */
  #actions(token, name) {
    const path = `student-tokens/${token.id}`;
    const confirm = button(t("token_confirm"), async () => {
      try {
        await call(`${path}/confirm`, { method: "POST" });
        await this.load();
      } catch (error) {
        toast(failure(error));
      }
    });
    confirm.ariaLabel = t("token_confirm_who", name);
    const renew = button(t("token_renew"), () =>
      askBefore({
        question: t("token_renew_sure", name),
        confirm: t("token_renew"),
        task: async () => this.#show([await call(`${path}/rotate`, { method: "POST" })]),
      }),
    );
    renew.ariaLabel = t("token_renew_who", name);
    const revoke = button(t("token_revoke"), () =>
      askBefore({
        question: t("token_revoke_sure", name),
        confirm: t("token_revoke"),
        task: async () => {
          await call(path, { method: "DELETE" });
          await this.load();
        },
      }),
    );
    revoke.ariaLabel = t("token_revoke_who", name);
    return [token.claimed ? confirm : null, token.valid_to ? null : renew, revoke];
  }
}

/** @param {StudentToken} token */
function stateOf(token) {
  if (token.valid_to) return t("token_ends", formatTime(token.valid_to));
  return token.claimed ? t("token_claimed") : t("token_valid");
}
