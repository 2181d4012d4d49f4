// The class as it was at an earlier moment: the tiles, each in its place.

import { call } from "./api.js";
import { arrange, el } from "./dom.js";
import { STUCK } from "./store.js";
import { t } from "./texts.js";
import { Tile, showCounts } from "./tile.js";

export class ClassThen {
  element = el("section", { className: "then" });
  #store;
  #counts = el("p", { className: "counts" });
  #list = el("ul", { className: "tiles" });
  #tiles = new Map(); // by user_id
  #wanted = null;
  #showing = null;

  constructor(store) {
    this.#store = store;
    const title = el("h2", { textContent: t("class_then") });
    this.element.append(title, this.#counts, this.#list);
  }

  // Resolves when the class of the moment (ms) that was asked for last is there.
  show(at) {
    this.#wanted = at;
    this.#showing ??= this.#catchUp().finally(() => (this.#showing = null));
    return this.#showing;
  }

  async #catchUp() {
    for (let at = null; at !== this.#wanted; ) {
      at = this.#wanted;
      const query = new URLSearchParams({ at: new Date(at).toISOString() });
      this.#draw(at, await call(`classes/${this.#store.id}/now?${query}`));
    }
  }

  #draw(at, students) {
    const tiles = students.map((student) => {
      const { user_id: userId } = student;
      if (!this.#tiles.has(userId)) this.#tiles.set(userId, new Tile(this.#store.id));
      const tile = this.#tiles.get(userId);
      const stuck = student.state === "error" && student.errors_in_a_row >= STUCK;
      const heard = student.last_heard_at ? Date.parse(student.last_heard_at) : 0;
      tile.show({ ...student, heard }, stuck ? "stuck" : student.state, null, at);
      return tile;
    });
    showCounts(this.#counts, tiles);
    arrange(
      this.#list,
      tiles.map((tile) => tile.element),
    );
  }
}
