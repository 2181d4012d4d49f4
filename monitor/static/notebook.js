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
const CHOICES_PAUSE = 2_000; // ms

/** @typedef {{ id: number, text: string }} Choice */

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
  #shown = ""; // the choices, as they were offered last
  /** @type {Map<number, Choice>} */
  #choices = new Map(); // by the notebook's id; a notebook stays when nobody is in it any more
  /** @type {Set<string>} */
  #paths = new Set(); // that students have been seen in
  /** @type {Map<number, string>} */
  #pathsById = new Map(); // of assignments' notebooks
  #find;
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
    this.#find = throttle(() => store.reload(), CHOICES_PAUSE, signal);
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
      el("p", { className: "hint", textContent: t("heat_map_hint") }),
      el("div", region, this.#map.element),
    );
  }

  async choose() {
    for (const { notebook_path: path } of this.#store.students.values())
      if (path) this.#paths.add(path);
    try {
      const choices = await this.#notebooks();
      if (!this.#signal.aborted) this.#offer(choices);
    } catch (error) {
      this.#trouble.textContent = failure(error);
    }
  }

  // Those of assignments, those that students are in now, and the one that the address names.
  async #notebooks() {
    /** @type {Choice[]} */
    const choices = [];
    for (const { notebook_id: id, notebook_path: text } of this.#store.students.values())
      if (id && text) choices.push({ id, text });
    /** @type {Assignment[]} */
    const assignments = await all(`assignments?class_id=${this.#store.id}`);
    for (const { title, notebook_id: id } of assignments)
      choices.push({ id, text: `${title} (${await this.#pathOf(id)})` });
    const named = Number(this.#id);
    if (named && !choices.some((each) => each.id === named) && !this.#choices.has(named))
      choices.push({ id: named, text: await this.#pathOf(named) });
    return choices;
  }

  /** @param {number} id of a notebook */
  async #pathOf(id) {
    const known = this.#pathsById.get(id);
    if (known) return known;
    /** @type {Notebook} */
    const { path } = await call(`notebooks/${id}`);
    this.#pathsById.set(id, path);
    return path;
  }

  // A message names a path; which notebook of the class that is, the server says.
  /** @param {Set<string>} userIds */
  changed(userIds) {
    const { students } = this.#store;
    const paths = [...userIds].map((userId) => students.get(userId)?.notebook_path);
    const unseen = paths.filter((path) => path && !this.#paths.has(path));
    for (const path of unseen) this.#paths.add(path ?? "");
    if (unseen.length) this.#find();
    else if (this.#picker.value) this.#reload();
  }

  /** @param {Choice[]} choices */
  #offer(choices) {
    for (const choice of choices) this.#choices.set(choice.id, choice);
    const sorted = [...this.#choices.values()].sort((a, b) => a.text.localeCompare(b.text));
    const shown = JSON.stringify(sorted);
    if (shown !== this.#shown) {
      const chosen = this.#picker.value || this.#id;
      this.#picker.replaceChildren(
        ...sorted.map(({ id, text }) => el("option", { value: id, textContent: text })),
      );
      if (chosen) this.#picker.value = chosen;
      this.#shown = shown;
    }
    this.#none.hidden = sorted.length > 0;
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
