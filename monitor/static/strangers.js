// Students whose messages reach the page before it knows them: they have just joined the class.

const MAX_TRIES = 5;
const FIRST_PAUSE = 500; // ms; a standby may be 10 s behind, so each pause is twice the one before
const FORGET_AFTER = 60_000; // ms: who was in no answer so long is looked for again
const MAX_STRANGERS = 1_000; // who are remembered, the latest

export class Strangers {
  /** @type {Map<string, { tries: number, at: number }>} */
  #seen = new Map(); // by user_id; `at` in ms of performance.now()

  /**
   * Notes a message of somebody unknown; returns whether the class has to be fetched for them.
   *
   * @param {string} userId
   */
  meet(userId) {
    const seen = this.#seen.get(userId);
    if (seen && performance.now() - seen.at < FORGET_AFTER) return false;
    this.#seen.delete(userId); // it comes last
    this.#seen.set(userId, { tries: 0, at: performance.now() });
    const [first] = this.#seen.keys();
    if (this.#seen.size > MAX_STRANGERS) this.#seen.delete(first);
    return true;
  }

  /**
   * Forgets those who are students now. Returns after how many ms the class has to be fetched again
   * for the others; null if it needn't be.
   *
   * @param {Map<string, unknown>} students by user_id
   */
  settle(students) {
    /** @type {number | null} */
    let pause = null;
    for (const [userId, seen] of this.#seen) {
      if (students.has(userId)) this.#seen.delete(userId);
      else if (seen.tries < MAX_TRIES) {
        pause = Math.min(pause ?? Infinity, FIRST_PAUSE * 2 ** seen.tries);
        seen.tries += 1;
      }
    }
    return pause;
  }
}
