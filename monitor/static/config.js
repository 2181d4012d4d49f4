// What the server says in the page's HTML.

export const API = meta("api") && `${meta("api")}/`; // what a path of the API begins with
export const IDLE_SECONDS = Number(meta("idle-seconds")); // without an event: a student is idle
export const RUN_SECONDS = Number(meta("run-seconds")); // the same for who runs a cell
export const HELP_SECONDS = Number(meta("help-seconds")); // without a signal: a help request ends

/** @param {string} name */
function meta(name) {
  const element = document.querySelector(`meta[name="${name}"]`);
  if (!(element instanceof HTMLMetaElement)) throw new Error(`No <meta name="${name}">`);
  return element.content;
}
