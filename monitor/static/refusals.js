// Below a class's tiles: what was turned away, who was never heard, and ids that two people use.

import { call } from "./api.js";
import { el, failure, joinFacts } from "./dom.js";
import { formatTime, t } from "./i18n.js";
import { Timers } from "./timers.js";

/**
 * @import { ClassStore } from "./store.js"
 * @import { ClassRefusals, Person, Refusal } from "./types.d.ts"
 */

const LOOK_INTERVAL = 60_000; // ms

/**
 * Adds them to `root`, folded, and keeps them up to date until the signal is aborted.
 *
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 */
export function showRefusals(root, store, signal) {
  const summary = el("summary");
  const body = el("div");
  const fold = el("details", { className: "refusals", hidden: true }, summary, body);
  const timers = new Timers();
  let shown = "";
  root.append(fold);
  signal.addEventListener("abort", () => timers.close());

  /** @param {ClassRefusals} answer */
  function show(answer) {
    if (JSON.stringify(answer) === shown) return;
    shown = JSON.stringify(answer);
    const facts = joinFacts(factsOf(answer));
    fold.hidden = !facts;
    summary.textContent = facts;
    body.replaceChildren(...sectionsOf(answer));
  }

  async function look() {
    if (!document.hidden) {
      try {
        show(await call(`classes/${store.id}/refusals`));
      } catch (error) {
        fold.hidden = false;
        summary.textContent = failure(error);
        shown = "";
      }
    }
    timers.start("look", LOOK_INTERVAL, look);
  }
  look();
}

/** @param {ClassRefusals} answer */
function factsOf({ refusals, never_heard: neverHeard, shared_ids: shared }) {
  const { out, unplaced } = sorted(refusals);
  return [
    shared.length && t("shared_ids", shared.length),
    out.length && t("kept_out", t("refused_events", eventsOf(out))),
    unplaced.length && t("unplaced", t("refused_events", eventsOf(unplaced))),
    neverHeard && t("silent", neverHeard),
  ].map((fact) => fact || null);
}

/** @param {ClassRefusals} answer */
function sectionsOf({ refusals, never_heard: neverHeard, silent, shared_ids: shared }) {
  const parts = [];
  if (shared.length) {
    const lines = shared.map((each) => t("shared_line", nameOf(each), spanOf(each)));
    parts.push(heading(t("shared_ids", shared.length)), hint(t("shared_hint")), list(lines));
  }
  const { out, unplaced } = sorted(refusals);
  if (out.length) {
    parts.push(heading(t("kept_out", t("refused_events", eventsOf(out)))));
    parts.push(list(out.map(lineOf)));
  }
  if (unplaced.length) {
    parts.push(heading(t("unplaced", t("refused_events", eventsOf(unplaced)))));
    parts.push(hint(t("unplaced_hint")), list(unplaced.map(lineOf)));
  }
  if (neverHeard)
    parts.push(heading(t("silent", neverHeard)), hint(silent.map(nameOf).join(", ")));
  return parts;
}

const UNPLACED = new Set(["too_many_cells", "too_many_notebooks", "too_many_sessions"]);

/**
 * What was kept out of the class, and what is stored in it in no cell, notebook or session.
 *
 * @param {Refusal[]} refusals
 */
function sorted(refusals) {
  /** @param {Refusal} refusal */
  const isUnplaced = ({ reason }) => UNPLACED.has(reason);
  return {
    out: refusals.filter((each) => !isUnplaced(each)),
    unplaced: refusals.filter(isUnplaced),
  };
}

/** @param {Refusal[]} refusals */
function eventsOf(refusals) {
  return refusals.reduce((sum, each) => sum + each.events, 0);
}

/** @param {Refusal} refusal */
function lineOf(refusal) {
  const line = t(
    "refused_line",
    t(`reason_${refusal.reason}`),
    t("refused_events", refusal.events),
    sendersOf(refusal),
    spanOf(refusal),
  );
  return joinFacts([line, refusal.user_ids.join(", ")]);
}

/** @param {Refusal} refusal */
function sendersOf({ reason, senders, is_more: isMore }) {
  const unread = reason === "ended_key" || reason === "over_limit"; // nobody read whose they were
  if (unread) return t(isMore ? "refused_more_addresses" : "refused_addresses", senders);
  return t(isMore ? "refused_more_ids" : "refused_ids", senders);
}

/** @param {{ first_at: string, last_at: string }} seen */
function spanOf({ first_at: first, last_at: last }) {
  const [since, until] = [formatTime(first, "short"), formatTime(last, "short")];
  return since === until ? since : t("span", since, until);
}

/** @param {Person} person */
function nameOf({ name, user_id: userId }) {
  return name ? `${name} (${userId})` : userId;
}

/** @param {string} textContent */
function heading(textContent) {
  return el("h2", { textContent });
}

/** @param {string} textContent */
function hint(textContent) {
  return el("p", { className: "hint", textContent });
}

/** @param {string[]} lines */
function list(lines) {
  return el(
    "ul",
    { className: "plain" },
    lines.map((textContent) => el("li", { textContent })),
  );
}
