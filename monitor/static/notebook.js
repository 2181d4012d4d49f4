// A notebook: its cells by students, and which errors stop them.

import { PAGE_SIZE, all, call } from "./api.js";
import { alertLine, el, failure } from "./dom.js";
import { HeatMap, legend } from "./heatmap.js";
import { t } from "./i18n.js";
import { Copies, loadCopies } from "./notebook-copies.js";
import { throttle } from "./throttle.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Assignment, Notebook, NotebookCopies, NotebookProgress, StudentCell } from "./types.d.ts" */

const RELOAD_PAUSE = 3_000; // ms

/** @typedef {{ id: number, text: string, path: string }} Choice */

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 * @param {string} [id] of the notebook to show first
 */
export function notebookView(root, store, signal, id) {
  const view = new NotebookView(root, store, signal, id);
  store.on(["loaded"], () => view.choose(), signal);
  store.on(["changed"], (userIds) => view.changed(userIds), signal);
  if (store.ready) view.choose();
}

class NotebookView {
  #store;
  #signal;
  #id;
  #map;
  #copies;
  #picker = el("select");
  #trouble = alertLine();
  #none = el("p", { textContent: t("no_notebooks"), hidden: true });
  /** @type {Map<string, string>} */
  #paths = new Map(); // by id
  #reload;

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   * @param {string} [id]
   */
  constructor(root, store, signal, id) {
    this.#store = store;
    this.#signal = signal;
    this.#id = id;
    this.#map = new HeatMap(store);
    this.#copies = new Copies(store, () => this.#load());
    this.#reload = throttle(() => this.#load(), RELOAD_PAUSE, signal);
    this.#picker.onchange = () =>
      (location.hash = `#/class/${store.id}/notebooks/${this.#picker.value}`);
    const label = el("label", {}, `${t("choose_notebook")} `, this.#picker);
    const region = { className: "scroll", tabIndex: 0, role: "region", ariaLabel: t("notebooks") };
    root.append(
      el("div", { className: "bar" }, label, legend()),
      this.#trouble,
      this.#none,
      this.#copies.element,
      el("div", region, this.#map.element),
      el("p", { className: "hint", textContent: t("heat_map_hint") }),
    );
  }

  async choose() {
    try {
      const choices = await notebooksOf(this.#store);
      if (!this.#signal.aborted) this.#offer(choices);
    } catch (error) {
      this.#trouble.textContent = failure(error);
    }
  }

  /** @param {Set<string>} userIds */
  changed(userIds) {
    const { students } = this.#store;
    const path = this.#paths.get(this.#picker.value);
    if (!this.#picker.value) this.choose();
    else if ([...userIds].some((userId) => students.get(userId)?.notebook_path === path))
      this.#reload();
  }

  /** @param {Choice[]} choices */
  #offer(choices) {
    this.#paths = new Map(choices.map(({ id, path }) => [String(id), path]));
    this.#picker.replaceChildren(
      ...choices.map(({ id, text }) => el("option", { value: id, textContent: text })),
    );
    if (this.#id) this.#picker.value = this.#id;
    this.#none.hidden = choices.length > 0;
    if (this.#picker.value) this.#reload();
  }

  async #load() {
    const path = `classes/${this.#store.id}/notebooks/${this.#picker.value}`;
    try {
      /** @type {[NotebookProgress, StudentCell[], NotebookCopies]} */
      const [notebook, cells, copies] = await Promise.all([
        call(`${path}/cells`),
        studentsOf(path, this.#store.students.size),
        loadCopies(this.#store, this.#picker.value),
      ]);
      if (this.#signal.aborted) return;
      this.#map.show(notebook, cells);
      this.#copies.show(copies);
      this.#trouble.textContent = "";
    } catch (error) {
      this.#trouble.textContent = failure(error);
    }
  }
}

/**
 * The cells that students have reached, for pages of students.
 *
 * @param {string} path of the notebook
 * @param {number} students how many there are
 * @returns {Promise<StudentCell[]>}
 */
async function studentsOf(path, students) {
  const pages = [];
  for (let skip = 0; skip === 0 || skip < students; skip += PAGE_SIZE)
    pages.push(call(`${path}/students?skip=${skip}&limit=${PAGE_SIZE}`));
  return (await Promise.all(pages)).flat();
}

// The notebooks of assignments, and those that students are in now.
/**
 * @param {ClassStore} store
 * @returns {Promise<Choice[]>}
 */
async function notebooksOf(store) {
  /** @type {Map<number, Choice>} */
  const choices = new Map();
  for (const { notebook_id: id, notebook_path: path } of store.students.values())
    if (id && path) choices.set(id, { id, text: path, path });
  /** @type {Assignment[]} */
  const assignments = await all(`assignments?class_id=${store.id}`);
  /** @type {Notebook[]} */
  const notebooks = await Promise.all(
    assignments.map((each) => call(`notebooks/${each.notebook_id}`)),
  );
  assignments.forEach(({ title }, place) => {
    const { id, path } = notebooks[place];
    choices.set(id, { id, text: `${title} (${path})`, path });
  });
  return [...choices.values()].sort((a, b) => a.text.localeCompare(b.text));
}
