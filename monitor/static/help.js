// The help queue: who has waited longest comes first.

import { send } from "./api.js";
import { serverNow } from "./clock.js";
import { HELP_SECONDS } from "./config.js";
import {
  arrange,
  button,
  byId,
  el,
  failure,
  joinFacts,
  pre,
  setText,
  shape,
  toast,
} from "./dom.js";
import { cellName, duration, t } from "./i18n.js";
import { firstLine, terminal } from "./terminal.js";

/** @import { ClassStore } from "./store.js" */
/** @import { HelpRequest } from "./types.d.ts" */

const NAME_KEY = "name"; // in the browser's storage
const MAX_NAME = 200; // characters

/** @typedef {"take" | "resolve"} Action */

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 */
export function helpView(root, store, signal) {
  const view = new HelpView(root, store);
  store.on(["changed", "loaded", "tick"], () => view.show(), signal);
  view.show();
}

class HelpView {
  #store;
  #name = el("input", {
    type: "text",
    autocomplete: "name",
    maxLength: MAX_NAME,
    value: localStorage.getItem(NAME_KEY) ?? "",
  });
  #list = el("ol", { className: "queue" });
  #empty = el("p", { textContent: t("queue_empty") });
  /** @type {Map<string, Card>} */
  #cards = new Map(); // by user_id

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   */
  constructor(root, store) {
    this.#store = store;
    this.#name.oninput = () => localStorage.setItem(NAME_KEY, this.#name.value.trim());
    root.append(
      el("div", { className: "bar" }, el("label", {}, `${t("your_name")} `, this.#name)),
      el("p", { className: "hint", textContent: t("queue_rule", HELP_SECONDS) }),
      this.#list,
      this.#empty,
    );
  }

  show() {
    const { help } = this.#store;
    const queue = [...help.values()].sort(byWait);
    for (const userId of this.#cards.keys()) if (!help.has(userId)) this.#cards.delete(userId);
    arrange(
      this.#list,
      queue.map((request) => this.#card(request).element),
    );
    this.#empty.hidden = queue.length > 0;
  }

  /** @param {HelpRequest} request */
  #card(request) {
    const { asked_at: askedAt, name, team } = request;
    const version = JSON.stringify([askedAt, request.last_error?.at, name, team]);
    let card = this.#cards.get(request.user_id);
    if (card?.version !== version) {
      card = new Card(this.#store, request, version, (action) => this.#act(request, action));
      this.#cards.set(request.user_id, card);
    }
    card.update(request);
    return card;
  }

  /**
   * @param {HelpRequest} request
   * @param {Action} action
   */
  async #act(request, action) {
    const name = this.#name.value.trim();
    if (!name) {
      toast(t("name_first"));
      this.#name.focus();
      return;
    }
    try {
      const path = `classes/${this.#store.id}/help/${request.student_id}/${action}`;
      await send("POST", path, { name });
      // The button that has the focus disappears once the live message is here.
      if (action === "take") this.#cards.get(request.user_id)?.resolve.focus();
      else byId("view").focus({ preventScroll: true });
    } catch (error) {
      toast(failure(error));
    }
  }
}

/**
 * @param {HelpRequest} a
 * @param {HelpRequest} b
 */
function byWait(a, b) {
  return (
    Number(Boolean(a.taken_by)) - Number(Boolean(b.taken_by)) ||
    Date.parse(a.asked_at) - Date.parse(b.asked_at) ||
    a.student_id - b.student_id
  );
}

class Card {
  #waiting = el("span", { className: "waiting" });
  #taken = el("span", { className: "taken" });
  #take;

  /**
   * @param {ClassStore} store
   * @param {HelpRequest} request
   * @param {string} version of what the card shows
   * @param {(action: Action) => void} act
   */
  constructor(store, request, version, act) {
    this.version = version;
    this.#take = button(t("take"), () => act("take"));
    this.resolve = button(t("resolve"), () => act("resolve"));
    const title = el("a", {
      href: store.hrefOf(request.student_id),
      textContent: request.name ?? request.user_id,
    });
    const place = joinFacts([
      request.team,
      request.notebook_path,
      request.cell_id && cellName(request.cell_position),
    ]);
    this.element = el(
      "li",
      { className: "card" },
      el(
        "div",
        { className: "line" },
        shape("help"),
        el("h2", {}, title),
        this.#waiting,
        this.#taken,
        this.#take,
        this.resolve,
      ),
      el("p", { className: "place", textContent: place }),
      lastError(request),
    );
  }

  /** @param {HelpRequest} request */
  update(request) {
    setText(this.#waiting, t("waiting", duration(serverNow() - Date.parse(request.asked_at))));
    setText(this.#taken, request.taken_by ? t("taken", request.taken_by) : "");
    this.#take.hidden = Boolean(request.taken_by);
    this.element.classList.toggle("is-taken", Boolean(request.taken_by));
  }
}

/** @param {HelpRequest} request */
function lastError({ last_error: last }) {
  if (!last) return el("p", { className: "hint", textContent: t("no_error") });
  const error = last.error ?? "";
  return el(
    "details",
    {},
    el("summary", { textContent: t("last_error", firstLine(error)) }),
    pre(last.code ?? ""),
    terminal(error, "error"),
  );
}
