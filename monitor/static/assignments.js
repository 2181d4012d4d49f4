// The assignments of a class: create, change, delete; their submissions, as they are handed in.

import { all, call, send } from "./api.js";
import { AssignmentCard, assignmentBody, assignmentFields } from "./assignment-card.js";
import { alertLine, arrange, el, failure, setText, toast } from "./dom.js";
import { makeForm } from "./forms.js";
import { gradeFiles } from "./grade-files.js";
import { t } from "./i18n.js";
import { throttle } from "./throttle.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Assignment, Notebook, Submission } from "./types.d.ts" */

const RELOAD_PAUSE = 1_000; // ms

export class Assignments {
  element = el("section", { className: "assignments" });
  #store;
  #trouble = alertLine();
  #none = el("p", { className: "hint", textContent: t("no_assignments"), hidden: true });
  #list = el("div");
  /** @type {Map<number, AssignmentCard>} */
  #cards = new Map(); // by id
  #changed = new Set(); // ids whose submissions have changed

  /**
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   */
  constructor(store, signal) {
    this.#store = store;
    const heading = el("h2", { textContent: t("assignments") });
    const files = gradeFiles(`classes/${store.id}/grades`);
    this.element.append(heading, this.#trouble, this.#none, this.#list, files);
    const reload = throttle(() => this.#follow(), RELOAD_PAUSE, signal);
    const note = (/** @type {number} */ id) => {
      this.#changed.add(id);
      reload();
    };
    store.on(["submission"], ({ assignmentId }) => note(assignmentId), signal);
    store.on(
      ["loaded"],
      () => {
        for (const id of this.#cards.keys()) note(id); // messages may be missing
      },
      signal,
    );
  }

  async load() {
    /** @type {Assignment[]} */
    const assignments = await all(`assignments?class_id=${this.#store.id}`);
    this.#cards = new Map(assignments.map((each) => [each.id, this.#cardOf(each)]));
    this.#none.hidden = assignments.length > 0;
    arrange(
      this.#list,
      [...this.#cards.values()].map((card) => card.element),
    );
    await this.#loadSubmissions(this.#cards.keys());
  }

  // A card whose assignment is the same stays, with what is being written in its form.
  /** @param {Assignment} assignment */
  #cardOf(assignment) {
    const card = this.#cards.get(assignment.id);
    if (card?.shows(assignment)) return card;
    return new AssignmentCard(this.#store, assignment, () => this.load());
  }

  async #follow() {
    const changed = [...this.#changed];
    this.#changed.clear();
    try {
      if (changed.every((id) => this.#cards.has(id))) await this.#loadSubmissions(changed);
      else await this.load();
      setText(this.#trouble, "");
    } catch (error) {
      for (const id of changed) this.#changed.add(id);
      setText(this.#trouble, failure(error));
    }
  }

  /** @param {Iterable<number>} ids of assignments */
  async #loadSubmissions(ids) {
    await Promise.all(
      [...ids].map(async (id) => {
        /** @type {Submission[]} */
        const submissions = await all(`submissions?assignment_id=${id}`);
        this.#cards.get(id)?.showSubmissions(submissions);
      }),
    );
  }

  /** The form for a new one. */
  form() {
    const path = { required: true, placeholder: "lesson.ipynb" };
    return makeForm({
      heading: t("new_assignment"),
      fields: [{ name: "path", label: t("path"), properties: path }, ...assignmentFields()],
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
        await send("POST", "assignments", { ...place, ...assignmentBody(values) });
        toast(t("assigned", values.title));
        await this.load();
      },
    });
  }
}
