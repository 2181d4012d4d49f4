// The class as it was at an earlier moment: the tiles, each in its place.

import { all } from "./api.js";
import { arrange, el } from "./dom.js";
import { t } from "./i18n.js";
import { toStudent, withStuck } from "./states.js";
import { StateCounts, Tile } from "./tile.js";

/** @import { ClassStore } from "./store.js" */
/** @import { StudentNow } from "./types.d.ts" */

export class ClassReplay {
  element = el("section", { className: "replay" });
  #store;
  #counts = new StateCounts();
  #list = el("ul", { className: "tiles" });
  /** @type {Map<string, Tile>} */
  #tiles = new Map(); // by user_id
  #wanted = 0; // ms
  /** @type {Promise<void> | null} */
  #showing = null;

  /** @param {ClassStore} store */
  constructor(store) {
    this.#store = store;
    const title = el("h2", { textContent: t("class_then") });
    this.element.append(title, this.#counts.element, this.#list);
  }

  /**
   * Resolves when the class is shown as of the moment that was asked for last.
   *
   * @param {number} at ms
   */
  show(at) {
    this.#wanted = at;
    this.#showing ??= this.#catchUp().finally(() => (this.#showing = null));
    return this.#showing;
  }

  async #catchUp() {
    for (let at = 0; at !== this.#wanted; ) {
      at = this.#wanted;
      const query = new URLSearchParams({ at: new Date(at).toISOString() });
      this.#draw(at, await all(`classes/${this.#store.id}/now?${query}`));
    }
  }

  /**
   * @param {number} at ms
   * @param {StudentNow[]} students
   */
  #draw(at, students) {
    const tiles = students.map((answer) => {
      const student = toStudent(answer);
      const tile = this.#tiles.get(student.user_id) ?? new Tile(this.#store, student);
      this.#tiles.set(student.user_id, tile);
      tile.show(student, withStuck(answer.state, student, this.#store.current, at), undefined, at);
      return tile;
    });
    this.#counts.show(tiles);
    arrange(
      this.#list,
      tiles.map((tile) => tile.element),
    );
  }
}
