// What a seat is called: its row as a letter, from the front, and its column as a number.

const LETTERS = 26;

/**
 * @param {number} row from 1
 * @param {number} column from 1
 * @returns {string} such as `A3`
 */
export function seatName(row, column) {
  return `${letters(row)}${column}`;
}

// A to Z, then AA.
/** @param {number} row from 1 */
function letters(row) {
  let text = "";
  for (let left = row; left > 0; left = Math.floor((left - 1) / LETTERS))
    text = String.fromCharCode(65 + ((left - 1) % LETTERS)) + text;
  return text;
}
