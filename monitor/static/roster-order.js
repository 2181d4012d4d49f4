// The order of the people on a roster.

/** @import { RosterEntry } from "./types.d.ts" */

/** @typedef {"number" | "name" | "user_id" | "seat"} RosterOrder */

/** @type {RosterOrder[]} */
export const ORDERS = ["number", "name", "user_id", "seat"];

const collator = new Intl.Collator("ja", { numeric: true });

/**
 * A copy in this order; who lacks what it goes by comes last, in the order of ids.
 *
 * @param {RosterEntry[]} people
 * @param {RosterOrder} order
 */
export function inOrder(people, order) {
  return [...people].sort((one, other) => {
    const [a, b] = [keyOf(one, order), keyOf(other, order)];
    const byKey = Number(a === "") - Number(b === "") || collator.compare(a, b);
    return byKey || collator.compare(one.user_id, other.user_id);
  });
}

/**
 * @param {RosterEntry} person
 * @param {RosterOrder} order
 */
function keyOf(person, order) {
  if (order === "number") return String(person.number ?? "");
  if (order === "name") return person.kana ?? person.name ?? "";
  return order === "seat" ? seatKey(person.seat) : person.user_id;
}

/**
 * Rows of one letter before those of two.
 *
 * @param {string | null} seat
 */
function seatKey(seat) {
  const [, row = "", column = ""] = /^([A-Z]+)(\d+)$/.exec(seat ?? "") ?? [];
  return row && `${row.length}${row} ${column}`;
}
