// The page's address: a class, a view of it, what the view shows, and its filters.

/**
 * @typedef {object} Address
 * @property {string} kind `class`, `classes` or nothing
 * @property {string} id of the class
 * @property {string} view
 * @property {string} last
 * @property {URLSearchParams} filters
 */

/** @returns {Address} */
export function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [kind, id = "", view = "lesson", last = ""] = path.split("/");
  return { kind, id, view: view || "lesson", last, filters: new URLSearchParams(query) };
}

/**
 * Changes the address's filters, without a step back in the browser's history for each.
 *
 * @param {Record<string, string>} changes empty values are left out
 */
export function setFilters(changes) {
  const { filters } = address();
  for (const [name, value] of Object.entries(changes)) {
    if (value) filters.set(name, value);
    else filters.delete(name);
  }
  const [path] = location.hash.split("?");
  const query = filters.toString();
  history.replaceState(history.state, "", query ? `${path || "#/"}?${query}` : path || "#/");
}
