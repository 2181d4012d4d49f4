// Where everybody sits. Without seats: by number, in rows that fill a screen.

/** @import { Room, Student } from "./types.d.ts" */

const SEAT_TRACK = "minmax(var(--seat-least, 0), 1fr)";
const AISLE_TRACK = ".9rem";

// Without a room: how many sit beside each other in a class of at most so many. Few steps, each with rows for
// all of them: as a class grows from one step to the next, everybody moves.
const STEPS = [
  { most: 48, width: 8 },
  { most: 96, width: 12 },
  { most: 200, width: 20 },
  { most: 280, width: 28 },
];
const MOST_ROWS = 10; // that a screen shows, each high enough to be hit

/**
 * @typedef {object} Plan
 * @property {number} rows of the room
 * @property {number} columns
 * @property {number} extra rows behind it, of those without a seat
 * @property {number} kept rows behind it that there is space for; at least `extra`
 * @property {number[]} aisles columns behind which there is one
 * @property {boolean} isRoom whether places are seats, with a name
 * @property {Map<number, Place>} places by student_id
 */

/** @typedef {{ row: number, column: number }} Place both from 1 */

/** @type {Room} */
export const NO_ROOM = { rows: 0, columns: 0, aisles: [], seats: [] };

/**
 * The order of a class's list.
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
 * @param {Plan | null} [before] what is shown: who joins moves nobody in it
 * @returns {Plan}
 */
export function planOf(students, { rows, columns, aisles }, before = null) {
  const isRoom = rows > 0;
  const earlier = before?.isRoom === isRoom && before.places.size ? before : null;
  const width = isRoom ? columns : widthFor(students.length, earlier);
  /** @type {Map<number, Place>} */
  const places = new Map();
  /** @type {Student[]} */
  const standing = [];
  for (const student of students) {
    const { student_id: id, seat_row: row, seat_column: column } = student;
    if (isRoom && row && column && row <= rows && column <= columns) places.set(id, { row, column });
    else standing.push(student);
  }
  standing.sort(newcomersLast(earlier)).forEach(({ student_id: id }, index) => {
    const row = rows + 1 + Math.floor(index / width);
    places.set(id, { row, column: 1 + (index % width) });
  });
  const extra = Math.ceil(standing.length / width);
  const kept = Math.max(extra, isRoom ? 1 : rowsFor(width));
  return { rows, columns: width, extra, kept, aisles, isRoom, places };
}

/**
 * How many sit beside each other without a room: as many as before, while the rows fit.
 *
 * @param {number} students
 * @param {Plan | null} before
 */
function widthFor(students, before) {
  const { width } = STEPS.find(({ most }) => students <= most) ?? STEPS[STEPS.length - 1];
  if (!before) return width;
  return students <= before.columns * MOST_ROWS ? before.columns : Math.max(width, before.columns);
}

/** @param {number} width of a class without a room */
function rowsFor(width) {
  const step = STEPS.find((each) => each.width === width);
  return step ? step.most / width : 0;
}

/**
 * The order of those without a seat: by number, and who has none as they came. Ids alone don't say that:
 * somebody known from another class has an older one.
 *
 * @param {Plan | null} before
 * @returns {(a: Student, b: Student) => number}
 */
function newcomersLast(before) {
  const rank = (/** @type {Student} */ { student_id: id }) => {
    const place = before?.places.get(id);
    return before && place && place.row > before.rows
      ? place.row * before.columns + place.column
      : Infinity;
  };
  return (a, b) => {
    const number = (a.number ?? Infinity) - (b.number ?? Infinity);
    return number || rank(a) - rank(b) || a.student_id - b.student_id;
  };
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
 * The rows of a CSS grid for this room: the desk at the front, and behind it a heading and those without a seat.
 *
 * @param {Pick<Plan, "rows" | "kept" | "isRoom">} plan
 * @param {boolean} isTurned whether the desk is below
 */
export function linesOf({ rows, kept, isRoom }, isTurned) {
  if (!isRoom) return `repeat(${kept}, var(--row-size))`;
  const room = `repeat(${rows}, var(--row-size))`;
  const front = isTurned ? `${room} auto` : `auto ${room}`;
  return `${front} var(--heading-size) repeat(${kept}, var(--extra-size))`;
}

/**
 * The line, from 1, in which this row is.
 *
 * @param {Pick<Plan, "rows" | "isRoom">} plan
 * @param {number} row
 * @param {boolean} isTurned
 */
export function lineOf({ rows, isRoom }, row, isTurned) {
  if (!isRoom) return row;
  if (row > rows) return row + 2;
  return isTurned ? rows - row + 1 : row + 1;
}

/**
 * A seat as people write it: A3 is the third of the first row.
 *
 * @param {Place} place
 */
export function seatName({ row, column }) {
  return `${rowName(row)}${column}`;
}

/**
 * The name of the student's seat, or nothing.
 *
 * @param {Pick<Student, "seat_row" | "seat_column">} student
 */
export function seatOf({ seat_row: row, seat_column: column }) {
  return row && column ? seatName({ row, column }) : "";
}

/** @param {number} row from 1 */
export function rowName(row) {
  const first = Math.floor((row - 1) / 26);
  const last = String.fromCharCode(65 + ((row - 1) % 26));
  return (first ? String.fromCharCode(64 + first) : "") + last;
}
