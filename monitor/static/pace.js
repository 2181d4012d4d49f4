// Asking again because something happened, but not each time.

const GATHER = 100; // ms: what happens at once is asked for once

// Returns how to ask for the task: it runs soon, once for all who asked, and not again before the
// pause (ms) is over. Nobody asks while the page is hidden: it does once it is seen again.
export function paced(task, pause) {
  let timer = 0;
  let again = false;
  const start = () => {
    timer = setTimeout(run, GATHER);
  };
  const run = async () => {
    if (document.hidden) {
      document.addEventListener("visibilitychange", start, { once: true });
      return;
    }
    again = false;
    await task();
    if (timer) timer = setTimeout(rest, pause);
  };
  const rest = () => {
    timer = 0;
    if (again) start();
  };
  const ask = () => {
    if (timer) again = true;
    else start();
  };
  ask.stop = () => {
    clearTimeout(timer);
    timer = 0;
    document.removeEventListener("visibilitychange", start);
  };
  return ask;
}
