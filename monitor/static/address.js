// The page's address: a class, a view of it, what the view shows, and its filters.

/**
 * @typedef {object} Address
 * @property {string} kind `class`, `classes` or nothing
 * @property {string} id of the class
 * @property {string} view
 * @property {string} last
 * @property {URLSearchParams} filters
 */

let isGoingBack = false; // for which the browser takes a moment

/**
 * @param {string} [hash] of a link, otherwise the page's own
 * @returns {Address}
 */
export function address(hash = location.hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
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
  const path = location.hash.split("?")[0] || "#/";
  history.replaceState(history.state, "", pathWith(path, filters));
}

/**
 * A path with the filters of now.
 *
 * @param {string} path
 */
export function withFilters(path) {
  return pathWith(path, address().filters);
}

/**
 * @param {string} path
 * @param {URLSearchParams} filters
 */
function pathWith(path, filters) {
  const query = filters.toString();
  return query ? `${path}?${query}` : path;
}

/**
 * Goes to an address from which `goBack` leads here again.
 *
 * @param {string} hash
 */
export function goOn(hash) {
  history.pushState({ isStep: true }, "", hash);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/**
 * Goes to an address in place of this one: `goBack` leads to the same place as from here.
 *
 * @param {string} hash
 */
export function goInstead(hash) {
  history.replaceState(history.state, "", hash);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/**
 * Goes to an address: back to where `goOn` was called, or, where one came otherwise, such as by a link in
 * a mail, in place of this one.
 *
 * @param {string} hash
 */
export function goBack(hash) {
  if (isGoingBack) return;
  if (!history.state?.isStep) {
    goInstead(hash);
    return;
  }
  isGoingBack = true;
  const arrive = () => {
    isGoingBack = false;
    history.replaceState(history.state, "", hash);
  };
  addEventListener("popstate", arrive, { once: true }); // it comes before the change of the hash
  history.back();
}
