// What cells are called, as answers say it. A live message names a cell by its id alone.

/** @import { StudentNow } from "./types.d.ts" */

const MAX_CELLS = 2_000; // that are remembered, the latest; ids may be each student's own

/** @typedef {Pick<StudentNow, "notebook_path" | "cell_id" | "cell_title" | "cell_heading">} InCell */

export class CellNames {
  /** @type {Map<string, { cell_title: string | null, cell_heading: string | null }>} */
  #known = new Map(); // by notebook and cell
  /** @type {Set<string>} */
  #sought = new Set(); // cells without a known name that an answer may have

  /** @param {Iterable<StudentNow>} students as the server answers */
  learn(students) {
    for (const student of students) {
      const { cell_title, cell_heading } = student;
      const known = this.#known.get(keyOf(student));
      if (!cell_title || (!cell_heading && known)) continue;
      this.#known.delete(keyOf(student)); // it comes last
      this.#known.set(keyOf(student), { cell_title, cell_heading });
      if (this.#known.size > MAX_CELLS) forgetFirst(this.#known);
    }
  }

  /**
   * Names the cell where a student is, as far as that is known. Returns whether the server should be asked
   * for it: once, for a cell may have no name.
   *
   * @param {InCell} place
   */
  give(place) {
    const key = keyOf(place);
    if (!place.cell_title) Object.assign(place, this.#known.get(key));
    if (place.cell_title !== null || this.#sought.has(key)) return false;
    this.#sought.add(key);
    if (this.#sought.size > MAX_CELLS) forgetFirst(this.#sought);
    return true;
  }
}

/** @param {Map<string, unknown> | Set<string>} collection in the order of its growth */
function forgetFirst(collection) {
  const [first] = collection.keys();
  collection.delete(first);
}

/** @param {InCell} place */
function keyOf({ notebook_path: path, cell_id: cell }) {
  return JSON.stringify([path, cell]);
}
