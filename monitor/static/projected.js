// Whether the page is projected: then it shows, in every view, nothing of a student or a call. Kept in
// the tab's storage, so that it stays over reloads.

const PROJECTED_KEY = "projected"; // in the tab's storage

export const PROJECTED_CHANGED = "projected-changed"; // an event of the window

export function isProjected() {
  return sessionStorage.getItem(PROJECTED_KEY) === "1";
}

/** @param {boolean} isOn */
export function setProjected(isOn) {
  if (isOn) sessionStorage.setItem(PROJECTED_KEY, "1");
  else sessionStorage.removeItem(PROJECTED_KEY);
  dispatchEvent(new Event(PROJECTED_CHANGED));
}
