// Events with typed details.

/** @template {object} Events the names, with the detail of each */
export class Emitter extends EventTarget {
  /**
   * Calls the listener with the detail of each of these events, until the signal ends it.
   *
   * @template {keyof Events & string} Name
   * @param {Name[]} names
   * @param {(detail: Events[Name]) => void} listener
   * @param {AbortSignal} [signal]
   */
  on(names, listener, signal) {
    /** @param {Event} event */
    const receive = (event) => {
      if (event instanceof CustomEvent) listener(event.detail);
    };
    for (const name of names) this.addEventListener(name, receive, signal ? { signal } : {});
  }

  /**
   * @protected
   * @template {keyof Events & string} Name
   * @param {Name} name
   * @param {Events[Name]} detail
   */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
