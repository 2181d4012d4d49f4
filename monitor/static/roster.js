// Who is in a class: enrol, change names and roles, remove.

import { all, call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { button, el, failure, setText, toast } from "./dom.js";
import { makeSelect } from "./forms.js";
import { t } from "./i18n.js";
import { editPerson } from "./roster-edit.js";
import { inOrder, ORDERS } from "./roster-order.js";
import { RosterUpload } from "./roster-upload.js";

/** @import { RosterOrder } from "./roster-order.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Role, RosterEntry } from "./types.d.ts" */

/** @type {Role[]} */
const ROLES = ["student", "assistant", "teacher"];
const CONTROLS = "a, select, button";

export class Roster {
  #title = el("h2", { textContent: t("people") });
  #list = el("div");
  element = el("section", {}, this.#title, this.#list);
  #store;
  /** @type {RosterOrder} */
  #order = "number";
  /** @type {RosterEntry[]} */
  #people = [];
  #latest = 0; // number of the latest request: answers to earlier ones are ignored

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
    this.element.append(new RosterUpload(store.id, () => this.#changed()).element);
  }

  /** Shows the roster, where it is scrolled to, and with the focus on the same control. */
  async load() {
    const number = ++this.#latest;
    /** @type {RosterEntry[]} */
    const people = await all(`classes/${this.#store.id}/students`);
    if (number !== this.#latest) return;
    this.#people = people;
    const goBack = this.#keepPlace();
    setText(this.#title, t("roster", people.length));
    this.#list.replaceChildren(people.length ? this.#table(people) : hint(t("nobody_enrolled")));
    goBack();
  }

  async #changed() {
    this.#store.reload();
    await this.load();
  }

  #keepPlace() {
    const focused = document.activeElement;
    const row = focused?.closest("tr");
    const control = [...(row?.querySelectorAll(CONTROLS) ?? [])].findIndex((it) => it === focused);
    const top = this.#list.querySelector(".scroll")?.scrollTop ?? 0;
    return () => {
      this.#list.querySelector(".scroll")?.scrollTo({ top });
      if (!row?.id) return;
      const shown = document.getElementById(row.id)?.querySelectorAll(CONTROLS)[control];
      if (shown instanceof HTMLElement) shown.focus();
    };
  }

  /** @param {RosterEntry[]} people */
  #table(people) {
    const body = el("tbody");
    /** @type {HTMLTableCellElement[]} */
    const headings = [];
    /** @param {RosterOrder} order */
    const show = (order) => {
      this.#order = order;
      for (const [place, heading] of headings.entries())
        heading.ariaSort = ORDERS[place] === order ? "ascending" : "none";
      body.replaceChildren(...inOrder(people, order).map((person) => this.#row(person)));
    };
    for (const order of ORDERS) {
      const sort = button(t(order), () => show(order));
      headings.push(el("th", { scope: "col", className: "sortable" }, sort));
    }
    show(this.#order);
    /** @param {"team" | "role"} name */
    const plain = (name) => el("th", { scope: "col", textContent: t(name) });
    return el(
      "div",
      { className: "scroll card", tabIndex: 0, role: "region", ariaLabel: t("people") },
      el(
        "table",
        { className: "people" },
        el("thead", {}, el("tr", {}, headings, plain("team"), plain("role"), el("td"))),
        body,
      ),
    );
  }

  /** @param {RosterEntry} person */
  #row(person) {
    const name = person.name ?? person.user_id;
    const href = this.#store.hrefOf(person.student_id);
    const shown = person.role === "student" ? el("a", { href, textContent: name }) : name;
    const kana = person.kana ? el("small", { className: "kana", textContent: person.kana }) : null;
    return el(
      "tr",
      { id: `on-roster-${person.student_id}` },
      el("td", { textContent: person.number ?? "" }),
      el("th", { scope: "row" }, shown, kana),
      el("td", { textContent: person.user_id }),
      el("td", { textContent: person.seat ?? "" }),
      el("td", { textContent: person.team ?? "" }),
      el("td", {}, this.#rolePicker(person, name)),
      el("td", {}, this.#editButton(person, name), " ", this.#removeButton(person, name)),
    );
  }

  /**
   * @param {RosterEntry} person
   * @param {string} name
   */
  #rolePicker(person, name) {
    /** @type {[string, string][]} */
    const roles = ROLES.map((role) => [role, t(role)]);
    if (person.role === "waiting") roles.unshift(["waiting", t("to_be_let_in")]);
    const picker = makeSelect(roles, { ariaLabel: t("role_of", name) });
    picker.value = person.role;
    picker.onchange = async () => {
      try {
        await send("PUT", this.#pathOf(person), { role: picker.value });
        await this.#changed();
      } catch (error) {
        picker.value = person.role;
        toast(failure(error));
      }
    };
    return picker;
  }

  /** @param {RosterEntry} person */
  #pathOf(person) {
    return `classes/${this.#store.id}/students/${person.student_id}`;
  }

  /**
   * @param {RosterEntry} person
   * @param {string} name
   */
  #editButton(person, name) {
    const label = t("edit_who", name);
    const path = this.#pathOf(person);
    const saved = () => this.#changed();
    const edit = button(t("change"), () =>
      editPerson({ person, people: this.#people, label, path, saved }),
    );
    edit.ariaLabel = label;
    return edit;
  }

  /**
   * @param {RosterEntry} person
   * @param {string} name
   */
  #removeButton(person, name) {
    const remove = button(t("remove"), () =>
      askBefore({
        question: t("remove_sure", name),
        confirm: t("remove"),
        task: async () => {
          await call(this.#pathOf(person), { method: "DELETE" });
          await this.#changed();
        },
      }),
    );
    remove.ariaLabel = t("remove_who", name);
    return remove;
  }
}

/** @param {string} textContent */
function hint(textContent) {
  return el("p", { className: "hint", textContent });
}
