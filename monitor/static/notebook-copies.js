// What counts as a notebook in a class, and why; teachers merge notebooks, keep them apart, undo it.

import { call, send } from "./api.js";
import { button, el, failure, joinFacts, toast } from "./dom.js";
import { formatDate, t } from "./i18n.js";

/** @import { ClassStore } from "./store.js" */
/** @import { NotebookCopies, NotebookCopy, OtherNotebook } from "./types.d.ts" */

const MAX_NAMES = 3;

export class Copies {
  #summary = el("summary");
  #body = el("div");
  element = el("details", { className: "copies", hidden: true }, this.#summary, this.#body);
  #store;
  #changed;
  #shown = "";

  /**
   * @param {ClassStore} store
   * @param {() => void} changed is called when a decision has changed what counts
   */
  constructor(store, changed) {
    this.#store = store;
    this.#changed = changed;
  }

  /** @param {NotebookCopies} answer */
  show(answer) {
    if (JSON.stringify(answer) === this.#shown) return;
    this.#shown = JSON.stringify(answer);
    const { copies, others, is_handed_out: isHandedOut } = answer;
    const likely = others.filter((each) => each.known > 1 && !each.is_apart).length;
    this.element.hidden = copies.length + others.length + answer.paths.length === 0;
    this.#summary.textContent = joinFacts([
      copies.length ? t("copies_count", copies.length) : t("copies_none"),
      likely ? t("copies_likely", likely) : null,
    ]);
    this.#body.replaceChildren(
      hint(t(isHandedOut ? "copies_rule" : "copies_of_assignments")),
      ...(answer.paths.length ? [hint(t("copy_paths", answer.paths.join(", ")))] : []),
      list(copies.map((each) => this.#copy(each))),
      ...(others.length ? [el("h2", { textContent: t("others") })] : []),
      list(others.map((each) => this.#other(each, answer.notebook_id))),
    );
  }

  /** @param {NotebookCopy} copy */
  #copy(copy) {
    const { notebook_id: id, notebook_path: path, reason, cells, known } = copy;
    const action =
      reason === "merged"
        ? this.#button(t("undo"), t("undo_what", path), "DELETE", `${id}/decision`)
        : this.#button(t("keep_apart"), t("keep_apart_what", path), "POST", `${id}/keep-apart`);
    const why = {
      cells: () => t("copy_cells", cells ?? 0, known ?? 0),
      name: () => t("copy_name"),
      merged: () => t("copy_merged", copy.decided_at ? formatDate(copy.decided_at) : ""),
    }[reason]();
    const paths = copy.paths.length > 0 && t("copy_paths", copy.paths.join(", "));
    return this.#line(path, joinFacts([why, this.#names(copy.students), paths]), action);
  }

  /**
   * @param {OtherNotebook} other
   * @param {number} into the notebook that it may count as
   */
  #other(other, into) {
    const { notebook_id: id, notebook_path: path, cells, known } = other;
    const action = other.is_apart
      ? this.#button(t("undo"), t("undo_what", path), "DELETE", `${id}/decision`)
      : this.#button(t("merge_here"), t("merge_what", path), "POST", `${id}/merge`, { into });
    const facts = [
      other.is_apart && t("copy_apart", other.decided_at ? formatDate(other.decided_at) : ""),
      known ? t("copy_same_cells", cells, known) : t("copy_other_cells"),
      this.#names(other.students),
    ];
    return this.#line(path, joinFacts(facts), action);
  }

  /**
   * @param {string} path
   * @param {string} facts
   * @param {HTMLElement} action
   */
  #line(path, facts, action) {
    const text = el("span", {}, path, el("span", { className: "hint", textContent: ` ${facts}` }));
    return el("li", { className: "line" }, text, action);
  }

  /**
   * @param {string} text
   * @param {string} ariaLabel
   * @param {string} method
   * @param {string} path below the class's notebooks
   * @param {{ into: number }} [body]
   */
  #button(text, ariaLabel, method, path, body) {
    const decide = button(text, async () => {
      decide.disabled = true;
      try {
        await send(method, `classes/${this.#store.id}/notebooks/${path}`, body);
        toast(t("saved"));
        this.#changed();
      } catch (error) {
        toast(failure(error));
        decide.disabled = false;
      }
    });
    decide.ariaLabel = ariaLabel;
    return decide;
  }

  /** @param {string[]} userIds */
  #names(userIds) {
    const names = userIds.slice(0, MAX_NAMES).map((each) => this.#store.nameOf(each));
    const more = userIds.length - names.length;
    return more ? t("copy_who", names.join(", "), more) : names.join(", ");
  }
}

/**
 * @param {ClassStore} store
 * @param {string} notebookId
 * @returns {Promise<NotebookCopies>}
 */
export function loadCopies(store, notebookId) {
  return call(`classes/${store.id}/notebooks/${notebookId}/copies`);
}

/** @param {string} textContent */
function hint(textContent) {
  return el("p", { className: "hint", textContent });
}

/** @param {HTMLElement[]} items */
function list(items) {
  return el("ul", { className: "plain" }, items);
}
