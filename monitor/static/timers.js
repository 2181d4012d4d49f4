// Timers with names: at most one of each name is waiting.

export class Timers {
  #closed = false;
  /** @type {Map<string, number>} */
  #waiting = new Map();

  /**
   * Runs the task after the pause, unless one of that name is waiting already.
   *
   * @param {string} name
   * @param {number} pause ms
   * @param {() => void} task
   */
  start(name, pause, task) {
    if (this.#closed || this.#waiting.has(name)) return;
    const timer = setTimeout(() => {
      this.#waiting.delete(name);
      task();
    }, pause);
    this.#waiting.set(name, timer);
  }

  /** Stops all, for good. */
  close() {
    this.#closed = true;
    for (const timer of this.#waiting.values()) clearTimeout(timer);
  }
}
