// Who is in a class: enrol, change names and roles, remove.

import { all, call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { button, el, failure, toast } from "./dom.js";
import { makeForm, makeSelect } from "./forms.js";
import { t } from "./i18n.js";
import { inOrder, ORDERS } from "./roster-order.js";
import { RosterUpload } from "./roster-upload.js";

/** @import { RosterOrder } from "./roster-order.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Role, RosterEntry } from "./types.d.ts" */

/** @type {Role[]} */
const ROLES = ["student", "assistant", "teacher"];
/** @type {("number" | "name" | "kana" | "email" | "team" | "seat")[]} */
const FIELDS = ["number", "name", "kana", "email", "team", "seat"];
const MAX_LENGTH = 512;

export class Roster {
  element = el("section");
  #store;
  /** @type {RosterOrder} */
  #order = "number";

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
  }

  async load() {
    /** @type {RosterEntry[]} */
    const people = await all(`classes/${this.#store.id}/students`);
    this.element.replaceChildren(
      el("h2", { textContent: t("roster", people.length) }),
      people.length ? this.#table(people) : hint(t("nobody_enrolled")),
      new RosterUpload(this.#store.id, () => this.#changed()).element,
    );
  }

  async #changed() {
    this.#store.reload();
    await this.load();
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
      {},
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
    const edit = button(t("change"), () => {
      const form = makeForm({
        heading: t("edit_who", name),
        fields: FIELDS.map((field) => ({
          name: field,
          label: t(field),
          properties: { value: person[field] ?? "", maxLength: MAX_LENGTH },
        })),
        button: t("save"),
        submit: async (values) => {
          await send("PUT", this.#pathOf(person), changesOf(person, values));
          dialog.close();
          await this.#changed();
        },
      });
      form.className = "";
      form.append(" ", button(t("cancel"), () => dialog.close()));
      const hinted = hint(t("edit_hint"));
      const dialog = el("dialog", { className: "card", ariaLabel: edit.ariaLabel }, form, hinted);
      dialog.onclose = () => dialog.remove();
      document.body.append(dialog);
      dialog.showModal();
    });
    edit.ariaLabel = t("edit_who", name);
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

/**
 * What was edited, null where nothing is left.
 *
 * @param {RosterEntry} person
 * @param {Record<string, string>} values
 */
function changesOf(person, values) {
  const changed = FIELDS.filter((field) => values[field] !== String(person[field] ?? ""));
  return Object.fromEntries(
    changed.map((field) => {
      const text = values[field] ?? "";
      const narrow = text.normalize("NFKC");
      const isNumber = field === "number" && /^\d+$/.test(narrow);
      return [field, isNumber ? Number(narrow) : text || null];
    }),
  );
}

/** @param {string} textContent */
function hint(textContent) {
  return el("p", { className: "hint", textContent });
}
