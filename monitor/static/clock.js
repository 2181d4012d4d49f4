// The server's clock. The computer's own may be wrong, or be set while the page is open, so it is
// never asked: what the server said last is counted on by the browser's monotonic clock.

const LAG = 2_000; // ms that what the server said is behind, at most

/** @type {number | null} */
let ahead = null; // ms that the server's clock is ahead of performance.now()

/** The server's clock, in ms; the computer's until the server has said what time it is. */
export function serverNow() {
  return performance.now() + (ahead ?? performance.timeOrigin);
}

/**
 * Takes in that the server's clock shows at least `earliest` by now, and at most `latest`.
 *
 * Without a contradiction the clock only goes forward: a message that was long on its way says
 * nothing new. After the computer has slept, its monotonic clock is behind and any message sets it.
 *
 * @param {number} earliest ms
 * @param {number} [latest] ms
 */
export function learnServerTime(earliest, latest = Infinity) {
  const now = serverNow();
  if (ahead === null || now < earliest || now > latest) ahead = earliest - performance.now();
}

/**
 * Whether a time of the API is past, such as the end of a key; also one that has just come.
 *
 * @param {string} time
 */
export function isPast(time) {
  return Date.parse(time) <= serverNow() + LAG;
}
