// Where everybody sits. Without seats: by number, in rows that fill a screen.

/** @import { Room, Student } from "./types.d.ts" */

const SEAT_TRACK = "minmax(var(--seat-least, 0), 1fr)";
const AISLE_TRACK = ".9rem";
const SCREEN = 1.4; // seats beside each other for each row, where there is no room

/**
 * @typedef {object} Plan
 * @property {number} rows of the room
 * @property {number} columns
 * @property {number} extra rows behind it, for those without a seat
 * @property {number[]} aisles columns behind which there is one
 * @property {boolean} isRoom whether places are seats, with a name
 * @property {Map<number, Place>} places by student_id
 */

/** @typedef {{ row: number, column: number }} Place both from 1 */

/** @type {Room} */
export const NO_ROOM = { rows: 0, columns: 0, aisles: [], seats: [] };

/**
 * The order of those without a seat: a newcomer is last, so that nobody else moves.
 *
 * @param {Student} a
 * @param {Student} b
 */
export function byNumber(a, b) {
  return (a.number ?? Infinity) - (b.number ?? Infinity) || a.student_id - b.student_id;
}

/**
 * @param {Student[]} students
 * @param {Room} room
 * @returns {Plan}
 */
export function planOf(students, { rows, columns, aisles }) {
  const isRoom = rows > 0;
  const width = isRoom ? columns : Math.max(1, Math.ceil(Math.sqrt(students.length * SCREEN)));
  /** @type {Map<number, Place>} */
  const places = new Map();
  /** @type {Student[]} */
  const standing = [];
  for (const student of students) {
    const { student_id: id, seat_row: row, seat_column: column } = student;
    if (isRoom && row && column && row <= rows && column <= columns) places.set(id, { row, column });
    else standing.push(student);
  }
  standing.sort(byNumber).forEach(({ student_id: id }, index) => {
    const row = rows + 1 + Math.floor(index / width);
    places.set(id, { row, column: 1 + (index % width) });
  });
  const extra = Math.ceil(standing.length / width);
  return { rows, columns: width, extra, aisles, isRoom, places };
}

/**
 * The columns of a CSS grid for this room: an aisle is a narrow track of its own.
 *
 * @param {Pick<Plan, "columns" | "aisles">} plan
 * @param {boolean} [isTurned] whether the last column is on the left
 */
export function tracksOf({ columns, aisles }, isTurned = false) {
  const tracks = Array.from({ length: columns }, (_, index) =>
    aisles.includes(index + 1) ? [SEAT_TRACK, AISLE_TRACK] : [SEAT_TRACK],
  ).flat();
  return (isTurned ? tracks.toReversed() : tracks).join(" ");
}

/**
 * The track, from 1, in which this column is.
 *
 * @param {Pick<Plan, "columns" | "aisles">} plan
 * @param {number} column
 * @param {boolean} [isTurned]
 */
export function trackOf({ columns, aisles }, column, isTurned = false) {
  if (!isTurned) return column + aisles.filter((aisle) => aisle < column).length;
  return columns - column + 1 + aisles.filter((aisle) => aisle >= column).length;
}

/**
 * A seat as people write it: A3 is the third of the first row.
 *
 * @param {Place} place
 */
export function seatName({ row, column }) {
  return `${rowName(row)}${column}`;
}

/** @param {number} row from 1 */
export function rowName(row) {
  const first = Math.floor((row - 1) / 26);
  const last = String.fromCharCode(65 + ((row - 1) % 26));
  return (first ? String.fromCharCode(64 + first) : "") + last;
}
