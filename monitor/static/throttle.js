// Asking again because something happened, but not each time.

const GATHER_DELAY = 100; // ms: requests at the same moment become one run

/**
 * Returns a function that requests a run of the task. It runs soon, once for all requests, and
 * again no sooner than `pause` ms after it has ended. While the page is hidden, it waits.
 *
 * @param {() => Promise<unknown>} task
 * @param {number} pause ms
 * @param {AbortSignal} signal stops it for good
 * @returns {() => void}
 */
export function throttle(task, pause, signal) {
  let timer = 0;
  let again = false;
  const start = () => {
    timer = setTimeout(run, GATHER_DELAY);
  };
  const run = async () => {
    if (document.hidden) {
      document.addEventListener("visibilitychange", start, { once: true, signal });
      return;
    }
    again = false;
    await task();
    if (!signal.aborted) timer = setTimeout(rest, pause);
  };
  const rest = () => {
    timer = 0;
    if (again) start();
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  return () => {
    if (timer) again = true;
    else if (!signal.aborted) start();
  };
}
