// All students' attempts at a cell, newest first: what each changed, and what they got.

import { address } from "./address.js";
import { AttemptList } from "./attempt-list.js";
import { call } from "./api.js";
import { alertLine, button, el, failure, joinFacts, setText } from "./dom.js";
import { cellHint, cellName, t } from "./i18n.js";
import { throttle } from "./throttle.js";

/** @import { ClassStore } from "./store.js" */
/** @import { CellAttempts } from "./types.d.ts" */

const RELOAD_PAUSE = 3_000; // ms

/**
 * The address of the attempts at a cell.
 *
 * @param {number} classId
 * @param {number | string} notebookId
 * @param {{ place: string, status?: string, error?: string, student?: number | string }} wanted
 */
export function attemptsHref(classId, notebookId, wanted) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(wanted)) if (value) query.set(name, String(value));
  return `#/class/${classId}/attempts/${notebookId}?${query}`;
}

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 * @param {string} id of the notebook
 */
export function attemptsView(root, store, signal, id) {
  const view = new AttemptsView(root, store, signal, id);
  const reload = throttle(() => view.load(), RELOAD_PAUSE, signal);
  store.on(["changed"], reload, signal);
  store.on(["loaded"], () => view.offerStudents(), signal);
  view.offerStudents();
  reload();
}

class AttemptsView {
  #store;
  #signal;
  #notebookId;
  #query;
  #title = el("h2");
  #facts = el("p", { className: "place" });
  #trouble = alertLine();
  #none = el("p", { className: "hint", textContent: t("attempts_none"), hidden: true });
  #filter = el("select");
  #students = el("select");
  #list;
  #more = button(t("more"), () => this.#loadMore());
  /** @type {string | null} */
  #next = null; // cursor

  /**
   * @param {HTMLElement} root
   * @param {ClassStore} store
   * @param {AbortSignal} signal
   * @param {string} id
   */
  constructor(root, store, signal, id) {
    this.#store = store;
    this.#signal = signal;
    this.#notebookId = id;
    this.#query = address().filters; // the place, and which attempts
    this.#list = new AttemptList(store);
    this.#more.hidden = true;
    this.#filter.onchange = () => this.#choose(filterOf(this.#filter.value));
    this.#students.onchange = () => this.#choose({ student: this.#students.value });
    const href = `#/class/${store.id}/notebooks/${id}`;
    root.append(
      el("p", {}, el("a", { href, textContent: `← ${t("notebooks")}` })),
      this.#title,
      this.#facts,
      el(
        "div",
        { className: "bar" },
        el("label", {}, `${t("show_attempts")} `, this.#filter),
        el("label", {}, `${t("attempts_of")} `, this.#students),
      ),
      el("p", { className: "hint", textContent: t("attempts_rule") }),
      this.#trouble,
      this.#none,
      this.#list.element,
      this.#more,
    );
  }

  offerStudents() {
    const students = [...this.#store.students.values()].map((student) => ({
      id: String(student.student_id),
      name: student.name ?? student.user_id,
    }));
    students.sort((a, b) => a.name.localeCompare(b.name));
    this.#students.replaceChildren(
      el("option", { value: "", textContent: t("all_students") }),
      ...students.map(({ id, name }) => el("option", { value: id, textContent: name })),
    );
    this.#students.value = this.#query.get("student") ?? "";
  }

  async load() {
    const asked = this.#query.toString();
    const page = await this.#ask();
    if (!page || asked !== this.#query.toString()) return;
    this.#show(page);
    if (this.#list.update(page.items)) this.#setNext(page.next);
    this.#none.hidden = this.#list.size > 0;
  }

  async #loadMore() {
    const asked = this.#query.toString();
    const page = await this.#ask(this.#next);
    if (!page || asked !== this.#query.toString()) return;
    this.#list.append(page.items);
    this.#setNext(page.next);
  }

  /**
   * @param {string | null} [cursor]
   * @returns {Promise<CellAttempts | undefined>} nothing if that fails, with the error on the page
   */
  async #ask(cursor) {
    const query = new URLSearchParams(this.#query);
    const student = query.get("student");
    query.delete("student");
    if (student) query.set("student_id", student);
    if (cursor) query.set("cursor", cursor);
    try {
      const path = `classes/${this.#store.id}/notebooks/${this.#notebookId}/attempts?${query}`;
      /** @type {CellAttempts} */
      const page = await call(path);
      this.#trouble.textContent = "";
      return this.#signal.aborted ? undefined : page;
    } catch (error) {
      this.#trouble.textContent = failure(error);
      return undefined;
    }
  }

  /** @param {CellAttempts} page */
  #show({ position, title, heading, notebook_path: path, tried, students, solved, attempts, kinds }) {
    setText(this.#title, t("attempts_at", cellName(position, title, heading)));
    const facts = t("attempts_facts", tried, students, solved, attempts);
    setText(this.#facts, joinFacts([path, cellHint(position, title), facts]));
    const chosen = this.#query.get("error");
    const errors = kinds.map((kind) => kind.error);
    const missing = chosen && !errors.includes(chosen) ? [{ error: chosen, students: 0 }] : [];
    const options = [...kinds, ...missing].map(({ error, students: count }) => ({
      value: `error:${error}`,
      textContent: t("of_kind", error, count),
    }));
    const all = [
      { value: "", textContent: t("all_attempts") },
      { value: "status:error", textContent: t("with_error") },
      { value: "status:success", textContent: t("with_success") },
      ...options,
    ];
    const version = JSON.stringify(all);
    if (this.#filter.dataset.version !== version)
      this.#filter.replaceChildren(...all.map((option) => el("option", option)));
    this.#filter.dataset.version = version;
    this.#filter.value = chosen ? `error:${chosen}` : this.#statusChoice();
  }

  #statusChoice() {
    const status = this.#query.get("status");
    return status ? `status:${status}` : "";
  }

  /** @param {string | null} next */
  #setNext(next) {
    this.#next = next;
    this.#more.hidden = !next;
  }

  /** @param {Record<string, string>} chosen */
  #choose(chosen) {
    for (const [name, value] of Object.entries(chosen))
      if (value) this.#query.set(name, value);
      else this.#query.delete(name);
    const wanted = { place: "", ...Object.fromEntries(this.#query) };
    history.replaceState(null, "", attemptsHref(this.#store.id, this.#notebookId, wanted));
    this.#list.clear();
    this.#setNext(null);
    this.load();
  }
}

/** @param {string} choice */
function filterOf(choice) {
  const [, kind = "", value = ""] = /^(status|error):(.*)$/s.exec(choice) ?? [];
  return { status: "", error: "", ...(kind && { [kind]: value }) };
}
