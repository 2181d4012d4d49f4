// The assignments of a class: create, change, delete; their submissions.

import { all, call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { button, el, failure, joinFacts, toast } from "./dom.js";
import { makeForm, toLocalInput } from "./forms.js";
import { formatTime, t } from "./i18n.js";

/** @import { Field, Values } from "./forms.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Assignment, Notebook, Submission } from "./types.d.ts" */

export class Assignments {
  element = el("section", { className: "assignments" });
  #store;

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
  }

  async load() {
    /** @type {Assignment[]} */
    const assignments = await all(`assignments?class_id=${this.#store.id}`);
    /** @type {Submission[][]} */
    const submissions = await Promise.all(
      assignments.map((each) => all(`submissions?assignment_id=${each.id}`)),
    );
    const refresh = button(t("refresh"), () => this.#refresh());
    const none = el("p", { className: "hint", textContent: t("no_assignments") });
    this.element.replaceChildren(
      el("div", { className: "line" }, el("h2", { textContent: t("assignments") }), refresh),
      assignments.length ? "" : none,
      ...assignments.map((each, place) => this.#card(each, submissions[place])),
    );
  }

  async #refresh() {
    try {
      await this.load();
    } catch (error) {
      toast(failure(error));
    }
  }

  /** The form for a new one. */
  form() {
    const path = { required: true, placeholder: "lesson.ipynb" };
    return makeForm({
      heading: t("new_assignment"),
      fields: [{ name: "path", label: t("path"), properties: path }, ...fieldsOf()],
      button: t("assign"),
      submit: async ({ path: notebookPath, ...values }) => {
        const wanted = { class_id: this.#store.id, path: notebookPath };
        /** @type {Notebook[]} */
        const [existing] = await call(
          `notebooks?class_id=${wanted.class_id}&path=${encodeURIComponent(wanted.path)}`,
        );
        /** @type {Notebook} */
        const notebook = existing ?? (await send("POST", "notebooks", wanted));
        const place = { class_id: wanted.class_id, notebook_id: notebook.id };
        await send("POST", "assignments", { ...place, ...bodyOf(values) });
        toast(t("assigned", values.title));
        await this.load();
      },
    });
  }

  /**
   * @param {Assignment} assignment
   * @param {Submission[]} submissions
   */
  #card(assignment, submissions) {
    const graded = submissions.filter((each) => each.grade !== null).length;
    const facts = joinFacts([
      assignment.due_date && t("due_at", formatTime(assignment.due_date)),
      assignment.points !== null && t("points_of", assignment.points),
      t("submissions_graded", submissions.length, graded),
    ]);
    const href = `#/class/${this.#store.id}/notebooks/${assignment.notebook_id}`;
    const analysis = `#/class/${this.#store.id}/analysis/${assignment.id}`;
    const description = assignment.description;
    return el(
      "article",
      { className: "card" },
      el("h3", {}, el("a", { href, textContent: assignment.title })),
      description ? el("p", { textContent: description }) : null,
      el("p", { className: "place", textContent: facts }),
      el("p", {}, el("a", { href: analysis, textContent: t("analysis") })),
      submissions.length ? this.#submissions(submissions) : null,
      this.#changeForm(assignment),
    );
  }

  /** @param {Submission[]} submissions */
  #submissions(submissions) {
    const items = submissions.map((submission) => {
      const { grade } = submission;
      const facts = [
        this.#store.nameOf(submission.user_id),
        t("attempt", submission.attempt),
        formatTime(submission.submitted_at),
        submission.late && t("late"),
        grade === null ? t("ungraded") : t("graded", grade),
      ];
      const href = `#/class/${this.#store.id}/submission/${submission.id}`;
      return el("li", {}, el("a", { href, textContent: joinFacts(facts) }));
    });
    return el("ul", { className: "plain" }, items);
  }

  /** @param {Assignment} assignment */
  #changeForm(assignment) {
    const form = makeForm({
      fields: fieldsOf(assignment),
      button: t("save"),
      submit: async (values) => {
        await send("PUT", `assignments/${assignment.id}`, bodyOf(values));
        toast(t("saved"));
        await this.load();
      },
    });
    form.className = "";
    form.append(" ", this.#deleteButton(assignment));
    const summary = { textContent: t("change"), ariaLabel: t("change_what", assignment.title) };
    return el("details", {}, el("summary", summary), form);
  }

  /** @param {Assignment} assignment */
  #deleteButton(assignment) {
    const remove = button(t("delete_assignment"), () =>
      askBefore({
        question: t("delete_assignment_sure", assignment.title),
        confirm: t("delete"),
        task: async () => {
          await call(`assignments/${assignment.id}`, { method: "DELETE" });
          toast(t("deleted", assignment.title));
          await this.load();
        },
        conflict: t("assignment_has_submissions"),
      }),
    );
    remove.className = "danger";
    return remove;
  }
}

/**
 * @param {Partial<Assignment>} current
 * @returns {Field[]}
 */
function fieldsOf(current = {}) {
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

/** @param {Values} values */
function bodyOf({ title, description, due_date: due, points }) {
  return {
    title,
    description: description || null,
    due_date: due ? new Date(due).toISOString() : null,
    points: points ? Number(points) : null,
  };
}
