// From seat to seat by the arrow keys.

/** @type {Record<string, [number, number]>} */
const STEPS = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/**
 * Rows down and columns to the right that this key leads to.
 *
 * @param {KeyboardEvent} event
 */
export function stepOf({ key, altKey, ctrlKey, metaKey }) {
  if (altKey || ctrlKey || metaKey || !Object.hasOwn(STEPS, key)) return null;
  return STEPS[key];
}
