// What was sent with one key in a span of time, by student and time, and how to withdraw it.

import { all, call, send } from "./api.js";
import { serverNow } from "./clock.js";
import { askBefore } from "./dialog.js";
import { alertLine, button, el, failure, joinFacts, toast } from "./dom.js";
import { makeSelect, toLocalInput } from "./forms.js";
import { formatTime, t } from "./i18n.js";

/** @import { TextName } from "./i18n.js" */
/** @import { IngestKey, KeyEvent, KeyEventPage, KeyStudent } from "./types.d.ts" */

const DAY = 86_400_000; // ms
/** @type {TextName[]} */
const HEADINGS = ["key_received", "key_claimed", "key_event", "key_place", "key_counts"];

export class KeyEvents {
  element = el("section", { className: "card key-events" });
  #key;
  #onWithdrawn;
  #since = timeInput(new Date(serverNow() - DAY).toISOString());
  #until = timeInput("");
  #student = makeSelect([["", t("everybody")]], { ariaLabel: t("key_student") });
  #body = el("tbody");
  #trouble = alertLine();
  #more = button(t("more"), () => this.#showMore());
  /** @type {string | null} */
  #next = null;
  #latest = 0; // number of the latest request: answers to earlier ones are ignored
  #shown = -1; // the student whose rows were shown last

  /**
   * @param {IngestKey} key
   * @param {() => Promise<void>} onWithdrawn called once a withdrawal was requested
   */
  constructor(key, onWithdrawn) {
    this.#key = key;
    this.#onWithdrawn = onWithdrawn;
    this.#since.required = true;
    const form = el(
      "form",
      { className: "bar" },
      el("label", {}, t("key_since"), this.#since),
      el("label", {}, t("key_until"), this.#until),
      el("label", {}, t("key_student"), this.#student),
      el("button", { type: "submit", textContent: t("key_show") }),
      this.#withdrawButton(),
    );
    form.onsubmit = (event) => {
      event.preventDefault();
      this.load();
    };
    const label = t("key_events_of", key.name);
    this.element.append(
      el("h3", { textContent: label }),
      form,
      this.#trouble,
      el("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: label }, this.#table()),
      this.#more,
    );
  }

  /** Shows the first page, and the students to choose from. */
  async load() {
    this.#next = null;
    this.#shown = -1;
    this.#body.replaceChildren();
    await Promise.all([this.#showMore(), this.#loadStudents()]);
  }

  async #loadStudents() {
    try {
      /** @type {KeyStudent[]} */
      const students = await all(`ingest-keys/${this.#key.id}/students?${this.#span()}`);
      const chosen = this.#student.value;
      this.#student.replaceChildren(
        el("option", { value: "", textContent: t("everybody") }),
        ...students.map(({ student_id: value, user_id: textContent }) =>
          el("option", { value, textContent }),
        ),
      );
      this.#student.value = chosen;
      if (this.#student.selectedIndex < 0) this.#student.value = "";
    } catch (error) {
      toast(failure(error));
    }
  }

  async #showMore() {
    const number = ++this.#latest;
    this.#trouble.textContent = "";
    const query = this.#span();
    if (this.#student.value) query.set("student_id", this.#student.value);
    if (this.#next) query.set("cursor", this.#next);
    try {
      /** @type {KeyEventPage} */
      const page = await call(`ingest-keys/${this.#key.id}/events?${query}`);
      if (number !== this.#latest) return;
      this.#next = page.next;
      this.#body.append(...page.items.flatMap((event) => this.#rows(event)));
      this.#more.hidden = !page.next;
      if (!page.next && !this.#body.childElementCount)
        this.#trouble.textContent = t("key_nothing");
    } catch (error) {
      this.#trouble.textContent = failure(error);
    }
  }

  #span() {
    const query = new URLSearchParams();
    if (this.#since.value) query.set("since", new Date(this.#since.value).toISOString());
    if (this.#until.value) query.set("until", new Date(this.#until.value).toISOString());
    return query;
  }

  #table() {
    const cells = HEADINGS.map((name) => el("th", { scope: "col", textContent: t(name) }));
    return el(
      "table",
      { className: "people" },
      el("thead", {}, el("tr", {}, cells)),
      this.#body,
    );
  }

  /**
   * An event, below the name of its student if that is another than before.
   *
   * @param {KeyEvent} event
   */
  #rows(event) {
    const isNew = event.student_id !== this.#shown;
    this.#shown = event.student_id;
    const name = el("th", {
      scope: "rowgroup",
      colSpan: HEADINGS.length,
      textContent: event.user_id,
    });
    const texts = [
      formatTime(event.received_at),
      formatTime(event.claimed_at),
      joinFacts([event.event_type, event.status]),
      joinFacts([event.notebook_path, event.cell_id]),
      event.excluded ? t(`excluded_${event.excluded}`) : t("key_counted"),
    ];
    const cells = texts.map((textContent) => el("td", { textContent }));
    return [...(isNew ? [el("tr", {}, name)] : []), el("tr", {}, cells)];
  }

  #withdrawButton() {
    const withdraw = button(t("withdraw"), () => {
      if (!this.#since.reportValidity()) return;
      const { since, until } = Object.fromEntries(this.#span());
      const student = this.#student.value;
      const who = this.#student.selectedOptions[0]?.textContent ?? "";
      askBefore({
        question: t(
          "withdraw_sure",
          this.#key.name,
          formatTime(since, "short"),
          until ? formatTime(until, "short") : t("until_now"),
          who,
        ),
        confirm: t("withdraw_confirm"),
        task: async () => {
          const studentIds = student ? [Number(student)] : null;
          const body = { since, until: until ?? null, student_ids: studentIds };
          await send("POST", `ingest-keys/${this.#key.id}/withdraw`, body);
          toast(t("withdraw_started"));
          await this.#onWithdrawn();
        },
      });
    });
    withdraw.className = "danger";
    return withdraw;
  }
}

/** @param {string} time */
function timeInput(time) {
  return el("input", { type: "datetime-local", value: toLocalInput(time) });
}
