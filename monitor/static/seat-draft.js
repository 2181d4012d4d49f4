// Who is to sit where, until it is saved: rows, aisles, seats, and the student who is picked up.

import { byNumber, seatName } from "./seat-plan.js";

/** @import { Place } from "./seat-plan.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Room, Student } from "./types.d.ts" */

export const MAX_SIDE = 50; // rows or columns
const FIRST_COLUMNS = 8; // of a class without a room

export class SeatDraft {
  rows;
  columns;
  picked = 0; // a student's id, 0: nobody
  #store;
  /** @type {Set<number>} */
  #aisles;
  /** @type {Map<number, Place>} */
  #places = new Map(); // by student_id; those outside of the room count again when it grows
  #saved;

  /**
   * @param {Pick<ClassStore, "students" | "byId">} store
   * @param {Room} room
   */
  constructor(store, room) {
    this.#store = store;
    const { students } = this;
    this.columns = room.columns || Math.min(FIRST_COLUMNS, Math.max(1, students.length));
    this.rows = room.rows || sideOf(students.length / this.columns);
    this.#aisles = new Set(room.aisles);
    for (const { student_id: id, seat_row: row, seat_column: column } of students)
      if (row && column) this.#places.set(id, { row, column });
    this.#saved = JSON.stringify(this.room);
  }

  /** All of the class, in the order of its list. */
  get students() {
    return [...this.#store.students.values()].sort(byNumber);
  }

  /** Those without a seat. */
  get standing() {
    return this.students.filter(({ student_id: id }) => !this.placeOf(id));
  }

  get aisles() {
    return [...this.#aisles].filter((column) => column < this.columns).sort((a, b) => a - b);
  }

  /**
   * The room as it would be saved.
   *
   * @returns {Room}
   */
  get room() {
    const seats = this.students.flatMap(({ student_id: id }) => {
      const place = this.placeOf(id);
      return place ? [{ student_id: id, ...place }] : [];
    });
    return { rows: this.rows, columns: this.columns, aisles: this.aisles, seats };
  }

  get isChanged() {
    return JSON.stringify(this.room) !== this.#saved;
  }

  /** @param {number} id of a student */
  placeOf(id) {
    const place = this.#places.get(id);
    return place && place.row <= this.rows && place.column <= this.columns ? place : undefined;
  }

  /**
   * Who has the seat.
   *
   * @param {Place} place
   * @returns {Student | undefined}
   */
  at(place) {
    for (const id of this.#places.keys()) {
      const theirs = this.placeOf(id);
      if (theirs && seatName(theirs) === seatName(place)) return this.#store.byId(id);
    }
    return undefined;
  }

  /** All seats, row by row. */
  get seats() {
    const rows = Array.from({ length: this.rows }, (_, index) => index + 1);
    const columns = Array.from({ length: this.columns }, (_, index) => index + 1);
    return rows.flatMap((row) => columns.map((column) => ({ row, column })));
  }

  /**
   * @param {"rows" | "columns"} side
   * @param {number} value is put right where there is no such room
   */
  resize(side, value) {
    this[side] = sideOf(value);
  }

  /**
   * @param {number} column
   * @param {boolean} isAisle whether there is one behind it
   */
  setAisle(column, isAisle) {
    if (isAisle) this.#aisles.add(column);
    else this.#aisles.delete(column);
  }

  /**
   * Gives the seat to the student who is picked up. Who has it gets the one that becomes free, if any.
   *
   * @param {Place} place
   */
  put(place) {
    const id = this.picked;
    const from = this.placeOf(id);
    const other = this.at(place)?.student_id;
    this.picked = 0;
    this.#places.set(id, place);
    if (other === undefined || other === id) return;
    if (from) this.#places.set(other, from);
    else this.#places.delete(other);
  }

  /** @param {number} id of the student who has no seat from now on */
  unseat(id) {
    this.picked = 0;
    this.#places.delete(id);
  }

  clear() {
    this.picked = 0;
    this.#places.clear();
  }

  /** Seats everybody in the order of the list; the room grows where it is too small. */
  sitByNumber() {
    this.clear();
    const { students } = this;
    this.rows = sideOf(Math.max(this.rows, students.length / this.columns));
    for (const [index, place] of this.seats.entries())
      if (index < students.length) this.#places.set(students[index].student_id, place);
  }
}

/** @param {number} value */
function sideOf(value) {
  return Math.min(MAX_SIDE, Math.max(1, Math.ceil(value) || 1));
}
