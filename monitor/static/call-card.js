// A call for help: its place in the queue, who calls, from which seat, how long, where, the error of now, who helps. It stays the same element
// while all this changes, so that what is open stays open.

import { serverNow } from "./clock.js";
import { button, el, joinFacts, pre, setText } from "./dom.js";
import { ago, cellName, duration, t } from "./i18n.js";
import { circled, isMine } from "./queue.js";
import { seatOf } from "./seat-plan.js";
import { shape } from "./shapes.js";
import { firstLine, terminal } from "./terminal.js";

/** @import { Action } from "./call-actions.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { HelpRequest } from "./types.d.ts" */

const MINUTE = 60_000; // ms

export class CallCard {
  #store;
  #rank = el("strong", { className: "rank", role: "img" });
  #title = el("a");
  #reading = el("span", { className: "reading" });
  #seat = el("span", { className: "seat-name" });
  #waiting = el("span", { className: "waiting" });
  #calls = el("span", { className: "hint" });
  #taken = el("span", { className: "taken" });
  #place = el("p", { className: "place" });
  #take;
  #resolve;
  #return;
  #noError = el("p", { className: "hint", textContent: t("no_error") });
  #when = el("p", { className: "hint" });
  #summary = el("summary");
  #details = el("details", {}, this.#summary);
  #error = ""; // which is shown

  /**
   * @param {ClassStore} store
   * @param {(action: Action) => void} act
   * @param {boolean} [showsError] false where the student's runs are shown beside it
   */
  constructor(store, act, showsError = true) {
    this.#store = store;
    this.#take = button(t("take"), () => act("take"));
    this.#take.className = "take";
    this.#resolve = button(t("resolve"), () => act("resolve"));
    this.#return = button(t("put_back"), () => act("return"));
    this.#return.className = "quiet";
    this.element = el(
      "li",
      { className: "card call" },
      el(
        "div",
        { className: "line" },
        this.#rank,
        shape("help"),
        el("h2", {}, this.#title, this.#reading, " ", this.#seat),
        this.#waiting,
        this.#calls,
        this.#taken,
      ),
      this.#place,
      ...(showsError ? [this.#noError, this.#details, this.#when] : []),
      el("div", { className: "answers" }, this.#take, this.#resolve, this.#return),
    );
  }

  /** Moves the focus to what comes next, where its button has disappeared. */
  focusNext() {
    (this.#take.hidden ? this.#resolve : this.#take).focus({ preventScroll: true });
  }

  /**
   * @param {HelpRequest} request
   * @param {number} rank in the queue, 0: it is taken
   * @param {boolean} isOfOthers whether it is for another teacher first
   */
  update(request, rank, isOfOthers) {
    const href = this.#store.hrefOf(request.student_id);
    if (this.#title.getAttribute("href") !== href) this.#title.href = href;
    this.#showWho(request, rank);
    setText(this.#waiting, t("waiting", duration(serverNow() - Date.parse(request.asked_at))));
    setText(this.#calls, request.calls > 1 ? t("calls_today", request.calls) : "");
    setText(this.#taken, takenText(request) || (isOfOthers ? t("others_part") : ""));
    const { cell_title: title, cell_heading: heading } = request;
    const cell = request.cell_id && cellName(request.cell_position, title, heading);
    setText(this.#place, joinFacts([request.team, request.notebook_path, cell]));
    const isTaken = Boolean(request.taken_by);
    this.#take.hidden = isTaken;
    this.#resolve.hidden = !isTaken;
    this.#return.hidden = !isTaken;
    this.#resolve.classList.toggle("quiet", !isMine(request));
    this.element.classList.toggle("is-taken", isTaken);
    this.element.classList.toggle("is-mine", isMine(request));
    this.element.classList.toggle("is-of-others", isOfOthers && !isTaken);
    this.#showError(request);
  }

  /**
   * @param {HelpRequest} request
   * @param {number} rank
   */
  #showWho({ user_id: userId, name }, rank) {
    const student = this.#store.students.get(userId);
    setText(this.#rank, rank ? circled(rank) : "");
    this.#rank.hidden = !rank;
    this.#rank.ariaLabel = t("rank", rank);
    setText(this.#title, name ?? userId);
    setText(this.#reading, student?.kana ? t("reading_of", student.kana) : "");
    setText(this.#seat, student ? seatOf(student) : "");
  }

  /** @param {HelpRequest} request */
  #showError({ last_error: last, confirmed }) {
    this.#noError.hidden = last !== null || !confirmed;
    this.#details.hidden = last === null;
    this.#when.hidden = last === null;
    if (!last) return;
    const error = last.error ?? "";
    const solved = last.solved_at && t("solved_since", ago(serverNow() - Date.parse(last.solved_at)));
    const when = ago(serverNow() - Date.parse(last.at));
    setText(this.#when, joinFacts([when, solved]));
    setText(this.#summary, t("last_error", firstLine(error)));
    const shown = JSON.stringify([last.at, error, last.code]);
    if (shown === this.#error) return;
    this.#error = shown;
    this.#details.replaceChildren(this.#summary, pre(last.code ?? ""), terminal(error, "error"));
  }
}

/** @param {HelpRequest} request */
function takenText(request) {
  if (!request.taken_by || !request.taken_at) return "";
  const minutes = Math.floor((serverNow() - Date.parse(request.taken_at)) / MINUTE);
  if (isMine(request)) return t("mine_for", Math.max(0, minutes));
  if (minutes < 1) return t("taken", request.taken_by);
  return t("taken_for", request.taken_by, minutes);
}
