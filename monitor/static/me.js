// A student's own page: what is stored of them, by class; their assignments and grades.

import { ApiError, all, call } from "./api.js";
import { serverNow } from "./clock.js";
import { alertLine, button, el, failure, joinFacts, setText, toast } from "./dom.js";
import { History, fill } from "./history.js";
import { ago, callLearnersAs, cellName, formatTime, t } from "./i18n.js";
import { LiveChannel } from "./live.js";
import { seatName } from "./seat-plan.js";
import { throttle } from "./throttle.js";
import { signOut, token } from "./token.js";

/** @import { ConnectionState, Me, MyAssignment, MyClass } from "./types.d.ts" */

const RELOAD_PAUSE = 2_000; // ms
const FIRST_LOOK = 30_000; // ms until the page looks again whether something is stored
const TICK = 1_000; // ms

/**
 * @param {HTMLElement} root
 * @param {AbortSignal} signal
 * @param {(connection: ConnectionState) => void} showConnection
 */
export async function meView(root, signal, showConnection) {
  root.append(el("h2", { textContent: t("my_page") }), signOutButton());
  try {
    /** @type {Me} */
    const me = await call("me");
    callLearnersAs(me.classes.filter((each) => each.learner_word));
    if (!signal.aborted) follow(new MeView(root, me), signal, showConnection);
  } catch (error) {
    if (signal.aborted) return;
    const isNothing = error instanceof ApiError && error.status === 404;
    const textContent = isNothing ? t("nothing_of_you") : failure(error);
    root.append(el("p", { className: isNothing ? "hint" : "trouble", textContent }));
    const timer = setTimeout(() => {
      root.replaceChildren();
      meView(root, signal, showConnection);
    }, FIRST_LOOK);
    signal.addEventListener("abort", () => clearTimeout(timer));
  }
}

function signOutButton() {
  return token() ? button(t("sign_out"), signOut) : "";
}

/**
 * Keeps the view up to date until the signal ends that.
 *
 * @param {MeView} view
 * @param {AbortSignal} signal
 * @param {(connection: ConnectionState) => void} showConnection
 */
function follow(view, signal, showConnection) {
  const reload = throttle(() => view.reload(), RELOAD_PAUSE, signal);
  const live = new LiveChannel(view.channels, {
    message: (message) => {
      if (message.event === "assignment_graded") toast(t("you_were_graded"));
      reload();
    },
    missed: reload,
    poll: () => view.reload(),
    status: showConnection,
  });
  const timer = setInterval(() => view.age(), TICK);
  signal.addEventListener("abort", () => {
    live.close();
    clearInterval(timer);
  });
  view.load();
}

class MeView {
  #me;
  #trouble = alertLine();
  #assignments = el("ul", { className: "plain" });
  #classes = el("ul", { className: "plain" });
  #history;
  /** @type {ClassCard[]} */
  #cards = [];

  /**
   * @param {HTMLElement} root
   * @param {Me} me
   */
  constructor(root, me) {
    this.#me = me;
    this.#history = new History(me.student_id, this.#trouble, (id) => this.#classLabel(id));
    const { runs, more, accesses } = this.#history;
    /** @param {"assignments" | "my_classes" | "timeline" | "opened"} name */
    const heading = (name) => el("h3", { textContent: t(name) });
    root.classList.add("me");
    root.append(
      this.#trouble,
      el("p", { className: "hint", textContent: t("my_page_rule") }),
      recordOf(me),
      el(
        "div",
        { className: "columns" },
        el("section", {}, heading("assignments"), this.#assignments),
        el("section", {}, heading("my_classes"), this.#classes),
        el("section", {}, heading("timeline"), runs, more),
        el("section", {}, heading("opened"), accesses),
      ),
    );
    this.#showClasses();
  }

  /** The channels with the student's events and grades, as an address names them. */
  get channels() {
    const user = this.#me.user_id.replace(/[%,*]/g, encodeURIComponent).replaceAll("*", "%2A");
    return `progress:${user},notifications:${user}`;
  }

  async load() {
    await Promise.all([this.#loadAssignments(), this.#history.load()]);
  }

  /** @returns {Promise<boolean>} whether it could be fetched */
  async reload() {
    try {
      this.#me = await call("me");
      this.#showClasses();
    } catch (error) {
      this.#trouble.textContent = failure(error);
      return false;
    }
    await Promise.all([this.#loadAssignments(), this.#history.refresh()]);
    return true;
  }

  age() {
    for (const card of this.#cards) card.age();
  }

  async #loadAssignments() {
    try {
      /** @type {MyAssignment[]} */
      const assignments = await all("me/assignments");
      fill(this.#assignments, assignments.map(assignmentCard));
      this.#trouble.textContent = "";
    } catch (error) {
      this.#trouble.textContent = failure(error);
    }
  }

  #showClasses() {
    this.#cards = this.#me.classes.map((each) => new ClassCard(each));
    fill(
      this.#classes,
      this.#cards.map((card) => card.element),
    );
  }

  /** @param {number | null} id */
  #classLabel(id) {
    const { classes } = this.#me;
    if (classes.length < 2) return "";
    const shown = classes.find((each) => each.class_id === id);
    return shown?.class_name ?? t("no_class");
  }
}

/** @param {Me} me */
function recordOf({ user_id: userId, name, email, team }) {
  /** @type {["user_id" | "name" | "email" | "team", string | null][]} */
  const facts = [
    ["user_id", userId],
    ["name", name],
    ["email", email],
    ["team", team],
  ];
  return el(
    "dl",
    { className: "card record" },
    facts
      .filter(([, text]) => text)
      .map(([label, textContent]) =>
        el("div", {}, el("dt", { textContent: t(label) }), el("dd", { textContent })),
      ),
  );
}

class ClassCard {
  #heard = el("span");
  #heardAt;

  /** @param {MyClass} shown */
  constructor(shown) {
    const { last_heard_at: heardAt, class_name: name, notebook_path: path } = shown;
    this.#heardAt = heardAt ? Date.parse(heardAt) : 0;
    const label = name ?? t("no_class");
    const { number, seat_row: row, seat_column: column } = shown;
    const seen = [
      number === null ? null : t("number_is", number),
      shown.name,
      shown.kana,
      shown.email,
      shown.team,
      row && column ? t("seat_is", seatName({ row, column })) : null,
    ];
    this.element = el(
      "li",
      { className: "card" },
      el("strong", { textContent: shown.is_active ? label : t("archived", label) }),
      el("p", { textContent: joinFacts([roleOf(shown), credentialOf(shown)]) }),
      el(
        "p",
        {},
        joinFacts([t("runs", shown.executions), t("failed_n", shown.errors)]),
        " · ",
        this.#heard,
      ),
      path
        ? el("p", {
            className: "place",
            textContent: joinFacts([path, shown.cell_id && placeOf(shown)]),
          })
        : null,
      seen.some(Boolean)
        ? el("p", { className: "place", textContent: t("shown_as", joinFacts(seen)) })
        : null,
    );
    this.age();
  }

  age() {
    const text = this.#heardAt ? t("last_at", ago(serverNow() - this.#heardAt)) : t("never");
    setText(this.#heard, text);
  }
}

/** @param {MyClass} shown */
function placeOf({ cell_position: position, cell_title: title, cell_heading: heading }) {
  return cellName(position, title, heading);
}

/** @param {MyClass} shown */
function credentialOf({ last_heard_at: heardAt, verified }) {
  return heardAt && t(verified ? "my_token_used" : "my_token_unused");
}

/** @param {MyClass} shown */
function roleOf({ class_id: id, role }) {
  if (id === null) return "";
  if (role === null) return t("off_roster");
  return role === "waiting" ? t("waiting_role") : t(role);
}

/** @param {MyAssignment} shown */
function assignmentCard(shown) {
  const { cells_run: run, cells_succeeded: succeeded, submitted_at: submittedAt } = shown;
  const due = shown.due_date && t("due_at", formatTime(shown.due_date, "short"));
  const work = submittedAt
    ? [
        t("submitted", formatTime(submittedAt, "short")),
        t("attempt", shown.attempt ?? 1),
        shown.late && t("late"),
      ]
    : [t("not_submitted")];
  return el(
    "li",
    { className: "card" },
    el("strong", { textContent: shown.title }),
    el("p", { className: "place", textContent: joinFacts([shown.class_name, due]) }),
    el("p", { textContent: run ? t("my_progress", run, succeeded) : t("not_begun") }),
    el("p", { textContent: joinFacts(work) }),
    submittedAt ? el("p", { className: "totals", textContent: gradeOf(shown) }) : null,
    shown.feedback ? el("p", { className: "feedback", textContent: shown.feedback }) : null,
  );
}

/** @param {MyAssignment} shown */
function gradeOf({ grade, points }) {
  if (grade === null) return t("ungraded");
  return points === null ? t("my_grade", grade) : t("my_grade_of", grade, points);
}
