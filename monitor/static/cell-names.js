// What cells are called, as answers say it. A live message names a cell by its id alone.

/** @import { StudentNow } from "./types.d.ts" */

export class CellNames {
  /** @type {Map<string, { cell_title: string | null, cell_heading: string | null }>} */
  #known = new Map(); // by notebook and cell

  /** @param {Iterable<StudentNow>} students as the server answers */
  learn(students) {
    for (const student of students) {
      const { cell_title, cell_heading } = student;
      const known = this.#known.get(keyOf(student));
      if (cell_title && (cell_heading || !known))
        this.#known.set(keyOf(student), { cell_title, cell_heading });
    }
  }

  /**
   * Names the cell where a student is after a live message, as far as that is known. Returns whether it is.
   *
   * @param {StudentNow} student
   */
  give(student) {
    if (!student.cell_title) Object.assign(student, this.#known.get(keyOf(student)));
    return student.cell_title !== null;
  }
}

/** @param {StudentNow} student */
function keyOf({ notebook_path: path, cell_id: cell }) {
  return JSON.stringify([path, cell]);
}
