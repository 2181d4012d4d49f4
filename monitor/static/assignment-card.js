// An assignment with its submissions, to change and to delete.

import { call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { button, el, joinFacts, setText, toast } from "./dom.js";
import { makeForm, toLocalInput } from "./forms.js";
import { gradeFiles } from "./grade-files.js";
import { formatTime, t } from "./i18n.js";

/** @import { Field, Values } from "./forms.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Assignment, Submission } from "./types.d.ts" */

export class AssignmentCard {
  element = el("article", { className: "card" });
  #store;
  #assignment;
  #changed;
  #facts = el("p", { className: "place" });
  #list = el("ul", { className: "plain" });
  #shown = ""; // the submissions, as they were shown last

  /**
   * @param {ClassStore} store
   * @param {Assignment} assignment
   * @param {() => Promise<void>} changed runs after it was changed or deleted here
   */
  constructor(store, assignment, changed) {
    this.#store = store;
    this.#assignment = assignment;
    this.#changed = changed;
    const { description, id, notebook_id: notebook, title } = assignment;
    const analysis = `#/class/${store.id}/analysis/${id}`;
    const href = `#/class/${store.id}/notebooks/${notebook}`;
    this.element.append(
      el("h3", {}, el("a", { href, textContent: title })),
      description ? el("p", { textContent: description }) : "",
      this.#facts,
      el("p", {}, el("a", { href: analysis, textContent: t("analysis") })),
      this.#list,
      gradeFiles(`assignments/${id}/grades`, title),
      this.#changeForm(),
    );
  }

  /** @param {Assignment} assignment */
  shows(assignment) {
    return JSON.stringify(assignment) === JSON.stringify(this.#assignment);
  }

  /** @param {Submission[]} submissions */
  showSubmissions(submissions) {
    const { due_date: due, points } = this.#assignment;
    const graded = submissions.filter((each) => each.grade !== null).length;
    const facts = joinFacts([
      due && t("due_at", formatTime(due)),
      points !== null && t("points_of", points),
      t("submissions_graded", submissions.length, graded),
    ]);
    setText(this.#facts, facts);
    const items = submissions.map((each) => this.#linkOf(each));
    const shown = JSON.stringify(items);
    if (shown === this.#shown) return; // a focused link keeps the focus
    this.#shown = shown;
    this.#list.replaceChildren(...items.map((link) => el("li", {}, el("a", link))));
  }

  /** @param {Submission} submission */
  #linkOf({ id, user_id: userId, attempt, submitted_at: submittedAt, late, grade }) {
    const textContent = joinFacts([
      this.#store.nameOf(userId),
      t("attempt", attempt),
      formatTime(submittedAt),
      late && t("late"),
      grade === null ? t("ungraded") : t("graded", grade),
    ]);
    return { href: `#/class/${this.#store.id}/submission/${id}`, textContent };
  }

  #changeForm() {
    const { id, title } = this.#assignment;
    const form = makeForm({
      fields: assignmentFields(this.#assignment),
      button: t("save"),
      submit: async (values) => {
        await send("PUT", `assignments/${id}`, assignmentBody(values));
        toast(t("saved"));
        await this.#changed();
      },
    });
    form.className = "";
    form.append(" ", this.#deleteButton());
    const summary = { textContent: t("change"), ariaLabel: t("change_what", title) };
    return el("details", {}, el("summary", summary), form);
  }

  #deleteButton() {
    const { id, title } = this.#assignment;
    const remove = button(t("delete_assignment"), () =>
      askBefore({
        question: t("delete_assignment_sure", title),
        confirm: t("delete"),
        task: async () => {
          await call(`assignments/${id}`, { method: "DELETE" });
          toast(t("deleted", title));
          await this.#changed();
        },
        conflict: t("assignment_has_submissions"),
      }),
    );
    remove.className = "danger";
    return remove;
  }
}

/**
 * The fields of a form for an assignment.
 *
 * @param {Partial<Assignment>} current
 * @returns {Field[]}
 */
export function assignmentFields(current = {}) {
  const title = { required: true, value: current.title ?? "" };
  const description = { value: current.description ?? "" };
  const due = { type: "datetime-local", value: toLocalInput(current.due_date) };
  const points = { type: "number", step: "any", value: current.points ?? "" };
  return [
    { name: "title", label: t("assignment_title"), properties: title },
    { name: "description", label: t("description"), tag: "textarea", properties: description },
    { name: "due_date", label: t("due"), properties: due },
    { name: "points", label: t("points"), properties: points },
  ];
}

/**
 * What the API gets of them.
 *
 * @param {Values} values
 */
export function assignmentBody({ title, description, due_date: due, points }) {
  return {
    title,
    description: description || null,
    due_date: due ? new Date(due).toISOString() : null,
    points: points ? Number(points) : null,
  };
}
