// Beside a class: who waits to be let in, and who was heard in no class.

import { call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { alertLine, button, el, failure, joinFacts, setText, toast } from "./dom.js";
import { formatTime, t } from "./i18n.js";
import { Timers } from "./timers.js";

/**
 * @import { ClassStore } from "./store.js"
 * @import { HeardStudent, WaitingStudent } from "./types.d.ts"
 */

const LOOK_INTERVAL = 15_000; // ms

/**
 * Adds them to `root`, and keeps them up to date until the signal is aborted.
 *
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 */
export function showNewcomers(root, store, signal) {
  const newcomers = new Newcomers(store);
  root.append(newcomers.element);
  signal.addEventListener("abort", () => newcomers.stop());
  newcomers.look();
}

class Newcomers {
  element = el("div", { className: "newcomer-groups" });
  #store;
  #timers = new Timers();
  #trouble = alertLine();
  /** @type {Group<WaitingStudent>} */
  #waiting;
  /** @type {Group<HeardStudent>} */
  #heard;

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
    this.#waiting = new Group({
      heading: "let_in_waiting",
      hint: t("let_in_hint"),
      button: t("let_in_all"),
      all: (people) => this.#admit(people),
      when: (person) => t("waits_since", formatTime(person.waiting_since, "short")),
      actions: (person) => this.#decisions(person),
    });
    this.#heard = new Group({
      heading: "heard",
      hint: t("heard_hint"),
      button: t("enrol_heard"),
      all: (people) => this.#enrol(people),
      when: (person) => t("heard_at", formatTime(person.last_received_at, "short")),
      actions: (person) => [
        action("enrol", "enrol_who", person, () => this.#enrol([person])),
      ],
    });
    this.element.append(this.#trouble, this.#waiting.element, this.#heard.element);
  }

  stop() {
    this.#timers.close();
  }

  async look() {
    if (!document.hidden) await this.#fetch();
    this.#timers.start("look", LOOK_INTERVAL, () => this.look());
  }

  async #fetch() {
    try {
      /** @type {[WaitingStudent[], HeardStudent[]]} */
      const [waiting, heard] = await Promise.all([
        call(`classes/${this.#store.id}/waiting?limit=500`),
        call("heard?limit=500"),
      ]);
      this.#waiting.show(waiting);
      this.#heard.show(heard);
      setText(this.#trouble, "");
    } catch (error) {
      setText(this.#trouble, failure(error));
    }
  }

  /** @param {WaitingStudent} person */
  #decisions(person) {
    const refuse = action("refuse", "refuse_who", person, async () =>
      askBefore({
        question: t("refuse_sure", labelOf(person)),
        confirm: t("refuse"),
        task: () => this.#refuse(person),
      }),
    );
    return [action("let_in", "let_in_who", person, () => this.#admit([person])), refuse];
  }

  /** @param {WaitingStudent[]} people */
  async #admit(people) {
    const decision = { student_ids: people.map((each) => each.student_id) };
    /** @type {WaitingStudent[]} */
    const admitted = await send("POST", `classes/${this.#store.id}/waiting/admit`, decision);
    toast(t("let_in_done", admitted.length));
    await this.#changed();
  }

  /** @param {WaitingStudent} person */
  async #refuse(person) {
    const decision = { student_ids: [person.student_id] };
    await send("POST", `classes/${this.#store.id}/waiting/refuse`, decision);
    toast(t("refuse_done", labelOf(person)));
    await this.#changed();
  }

  /** @param {HeardStudent[]} people */
  async #enrol(people) {
    const enrolments = people.map((each) => ({ user_id: each.user_id }));
    await send("POST", `classes/${this.#store.id}/students`, enrolments);
    toast(t("enrolled", people.length));
    await this.#changed();
  }

  async #changed() {
    this.#store.reload();
    await this.#fetch();
  }
}

/**
 * People with one thing to do for all of them, and a list of them that can be unfolded.
 *
 * @template {WaitingStudent | HeardStudent} Person
 */
class Group {
  element = el("section", { className: "card newcomers", hidden: true });
  #heading = el("strong");
  #list = el("ul", { className: "plain" });
  #shown = "";
  #options;
  /** @type {Person[]} */
  #people = [];

  /**
   * @param {object} options
   * @param {"let_in_waiting" | "heard"} options.heading
   * @param {string} options.hint
   * @param {string} options.button for all of them
   * @param {(people: Person[]) => Promise<void>} options.all
   * @param {(person: Person) => string} options.when
   * @param {(person: Person) => HTMLElement[]} options.actions
   */
  constructor(options) {
    this.#options = options;
    const all = button(options.button, attempt(() => options.all(this.#people)));
    this.element.append(
      el("div", { className: "line" }, this.#heading, all),
      el(
        "details",
        {},
        el("summary", { textContent: t("show_who") }),
        el("p", { className: "hint", textContent: options.hint }),
        this.#list,
      ),
    );
  }

  /** @param {Person[]} people */
  show(people) {
    const shown = JSON.stringify(people);
    if (shown === this.#shown) return; // a focused button keeps the focus
    this.#shown = shown;
    this.#people = people;
    this.element.hidden = !people.length;
    setText(this.#heading, t(this.#options.heading, people.length));
    this.#list.replaceChildren(...people.map((person) => this.#line(person)));
  }

  /** @param {Person} person */
  #line(person) {
    const { when, actions } = this.#options;
    const who = joinFacts([person.name, person.user_id]);
    return el(
      "li",
      { className: "line" },
      el("span", { textContent: who }),
      el("span", { className: "place", textContent: when(person) }),
      el("span", { className: "actions" }, actions(person)),
    );
  }
}

/**
 * @param {"let_in" | "refuse" | "enrol"} text
 * @param {"let_in_who" | "refuse_who" | "enrol_who"} label
 * @param {WaitingStudent | HeardStudent} person
 * @param {() => Promise<void>} task
 */
function action(text, label, person, task) {
  const element = button(t(text), attempt(task));
  element.ariaLabel = t(label, labelOf(person));
  return element;
}

/** @param {WaitingStudent | HeardStudent} person */
function labelOf(person) {
  return person.name ? `${person.name} (${person.user_id})` : person.user_id;
}

/** @param {() => Promise<void>} task */
function attempt(task) {
  return async () => {
    try {
      await task();
    } catch (error) {
      toast(failure(error));
    }
  };
}
