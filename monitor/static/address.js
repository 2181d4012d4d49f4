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
 * Goes to an address from which `goBack` leads here again, as far down as this is scrolled now.
 *
 * @param {string} hash
 */
export function goOn(hash) {
  history.replaceState({ ...history.state, scroll: scrollY }, "");
  history.pushState({ from: address().view }, "", hash);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/**
 * Keeps which part of a view is shown, for when one comes back to this address.
 *
 * @param {string} pane
 */
export function keepPane(pane) {
  history.replaceState({ ...history.state, pane }, "");
}

/** The part of the view that was shown when this address was left; null where it is new. */
export function keptPane() {
  /** @type {string | null} */
  const pane = history.state?.pane ?? null;
  return pane;
}

/** The view from which one came here by `goOn`, if so. */
export function cameFrom() {
  /** @type {string | undefined} */
  const from = history.state?.from;
  return from;
}

/** Whether this address was left by `goOn` before, and one has come back. */
export function wasLeft() {
  return history.state?.scroll !== undefined;
}

/** How far down this address was scrolled when it was left by `goOn` (px); 0 where it is new. */
export function scrolledTo() {
  return Number(history.state?.scroll ?? 0);
}

/**
 * The link to another address of this page that a click follows; null where it opens elsewhere.
 *
 * @param {MouseEvent} event
 */
export function followedLink(event) {
  const { target } = event;
  const link = target instanceof Element && target.closest("a");
  const isPlain = !event.button && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!(link instanceof HTMLAnchorElement) || !isPlain || event.defaultPrevented) return null;
  return link.getAttribute("href")?.startsWith("#/") ? link : null;
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
 * Goes back to where `goOn` was called, or, where one came otherwise, such as by a link in a mail, to an
 * address in place of this one.
 *
 * @param {string} hash
 * @param {boolean} [takesFilters] whether its filters replace those of the address that one comes back to,
 *   where that is of the same view
 */
export function goBack(hash, takesFilters = false) {
  if (isGoingBack) return;
  if (!cameFrom()) {
    goInstead(hash);
    return;
  }
  isGoingBack = true;
  const arrive = () => {
    setTimeout(() => {
      isGoingBack = false; // once the view is there: until then a key would still be of the one that is left
    });
    const isSame = address().view === address(hash).view;
    if (takesFilters && isSame) history.replaceState(history.state, "", hash);
  };
  addEventListener("popstate", arrive, { once: true }); // it comes before the change of the hash
  history.back();
}
