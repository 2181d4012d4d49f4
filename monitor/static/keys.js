// A class's keys: what was sent with them, and withdrawals of it.

import { all, call } from "./api.js";
import { isPast } from "./clock.js";
import { askBefore } from "./dialog.js";
import { button, el, failure, toast } from "./dom.js";
import { formatDate, formatTime, t } from "./i18n.js";
import { KeyEvents } from "./key-events.js";
import { Timers } from "./timers.js";

/** @import { TextName } from "./i18n.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { IngestKey, Withdrawal } from "./types.d.ts" */

const LOOK_INTERVAL = 1_000; // ms, while a withdrawal is under way
const UNDER_WAY = new Set(["withdrawing", "replaying"]);

export class Keys {
  element = el("section");
  #store;
  #timers = new Timers();
  #keys = el("div");
  #events = el("div");
  #withdrawals = el("div");
  /** @type {Map<number, string>} */
  #names = new Map(); // of the keys, by id
  #isUnderWay = false; // a withdrawal, or a replay

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
    this.element.append(
      el("h2", { textContent: t("keys") }),
      el("p", { className: "hint", textContent: t("keys_rule") }),
      this.#keys,
      this.#events,
      this.#withdrawals,
    );
  }

  async load() {
    /** @type {IngestKey[]} */
    const keys = await all(`ingest-keys?class_id=${this.#store.id}`);
    this.#names = new Map(keys.map((key) => [key.id, key.name]));
    this.#keys.replaceChildren(
      keys.length
        ? table("keys", ["key", "key_made", "token_state"], keys.map((key) => this.#keyRow(key)))
        : el("p", { className: "hint", textContent: t("no_keys") }),
    );
    await this.#loadWithdrawals();
  }

  /** @param {IngestKey} key */
  #keyRow(key) {
    const show = button(t("key_events"), () => {
      const events = new KeyEvents(key, () => this.#loadWithdrawals());
      this.#events.replaceChildren(events.element);
      events.load();
    });
    show.ariaLabel = t("key_events_of", key.name);
    const ended = key.valid_to && isPast(key.valid_to);
    return row(
      [key.name, formatDate(key.created_at), stateOf(key)],
      [show, ended ? null : this.#revokeButton(key)],
    );
  }

  /** @param {IngestKey} key */
  #revokeButton(key) {
    const revoke = button(t("key_revoke"), () =>
      askBefore({
        question: t("key_revoke_sure", key.name),
        confirm: t("key_revoke"),
        task: async () => {
          await call(`ingest-keys/${key.id}`, { method: "DELETE" });
          await this.load();
        },
      }),
    );
    revoke.ariaLabel = t("key_revoke_who", key.name);
    return revoke;
  }

  async #loadWithdrawals() {
    /** @type {Withdrawal[]} */
    const withdrawals = await all(`withdrawals?class_id=${this.#store.id}`);
    const headings = /** @type {TextName[]} */ ([
      "withdrawal_span",
      "withdrawal_what",
      "withdrawal_by",
      "withdrawal_state",
    ]);
    const rows = withdrawals.toReversed().map((each) => this.#withdrawalRow(each));
    this.#withdrawals.replaceChildren(
      ...(rows.length
        ? [el("h3", { textContent: t("withdrawals") }), table("withdrawals", headings, rows)]
        : []),
    );
    const wasUnderWay = this.#isUnderWay;
    this.#isUnderWay = withdrawals.some(({ state }) => UNDER_WAY.has(state));
    if (this.#isUnderWay) this.#lookAgain();
    else if (wasUnderWay) this.#store.reload(); // the class's numbers have changed
  }

  #lookAgain() {
    this.#timers.start("look", LOOK_INTERVAL, async () => {
      if (!this.element.isConnected) return;
      try {
        await this.#loadWithdrawals();
      } catch (error) {
        toast(failure(error));
        this.#lookAgain();
      }
    });
  }

  /** @param {Withdrawal} withdrawal */
  #withdrawalRow(withdrawal) {
    const { id, since, until, requested_by: by, state, events, problem } = withdrawal;
    const isWhole = Date.parse(since) === 0; // all that somebody sent who was refused
    const span = isWhole
      ? formatTime(until, "short")
      : t("span", formatTime(since, "short"), formatTime(until, "short"));
    const restore = button(t("withdrawal_restore"), () =>
      askBefore({
        question: t("withdrawal_restore_sure"),
        confirm: t("withdrawal_restore"),
        task: async () => {
          await call(`withdrawals/${id}/replay`, { method: "POST" });
          await this.#loadWithdrawals();
        },
      }),
    );
    const cells = [span, this.#sourceOf(withdrawal), by, problem ?? t(`state_${state}`, events)];
    return row(cells, [state === "withdrawn" && events ? restore : null]);
  }

  /** @param {Withdrawal} withdrawal */
  #sourceOf({ key_id: key, token_id: token }) {
    if (key) return this.#names.get(key) ?? String(key);
    return t(token ? "withdrawal_token" : "withdrawal_refused");
  }
}

/** @param {IngestKey} key */
function stateOf({ valid_to: end }) {
  if (!end) return t("key_valid");
  const isOver = isPast(end);
  return t(isOver ? "key_ended" : "key_ends", formatTime(end, "short"));
}

/**
 * @param {string[]} cells
 * @param {(Node | null)[]} actions
 */
function row([name, ...cells], actions) {
  return el(
    "tr",
    {},
    el("th", { scope: "row", textContent: name }),
    cells.map((textContent) => el("td", { textContent })),
    el("td", {}, el("div", { className: "line" }, actions)),
  );
}

/**
 * @param {TextName} label
 * @param {TextName[]} headings
 * @param {HTMLTableRowElement[]} rows
 */
function table(label, headings, rows) {
  const cells = headings.map((name) => el("th", { scope: "col", textContent: t(name) }));
  return el(
    "div",
    { className: "scroll card", tabIndex: 0, role: "region", ariaLabel: t(label) },
    el(
      "table",
      { className: "people tokens" },
      el("thead", {}, el("tr", {}, cells, el("td"))),
      el("tbody", {}, rows),
    ),
  );
}
