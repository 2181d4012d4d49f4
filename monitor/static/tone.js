// The sound of a new call: two notes, made here. Browsers let a page make sounds only once somebody
// has clicked or typed in it, and some take that back after a phone call.

const NOTES = [
  { frequency: 659.3, at: 0 }, // Hz, s
  { frequency: 880, at: 0.16 },
];
const NOTE_LASTS = 0.45; // s
const ATTACK = 0.015; // s
const LOUDNESS = 0.25; // of 1
const SILENCE = 0.001; // an exponential ramp doesn't reach 0

const GESTURES = ["click", "keydown"];

export class Tone {
  #changed;
  /** @type {AudioContext | null} */
  #context = null;
  #wake = () => this.#resume();

  /** @param {() => void} changed after the browser has allowed sounds, or no longer allows them */
  constructor(changed) {
    this.#changed = changed;
  }

  /** Whether the browser plays nothing for now. */
  get isBlocked() {
    return this.#context?.state !== "running";
  }

  /** Gets ready, and tries again at each click and key while the browser allows no sounds. */
  open() {
    if (this.#context) return;
    this.#context = new AudioContext();
    this.#context.onstatechange = this.#changed;
    for (const name of GESTURES) addEventListener(name, this.#wake, true);
  }

  close() {
    for (const name of GESTURES) removeEventListener(name, this.#wake, true);
    this.#context?.close();
    this.#context = null;
  }

  /** Plays, unless that is blocked: a sound that comes a minute later would say something else. */
  play() {
    const context = this.#context;
    if (!context || this.isBlocked) return;
    for (const { frequency, at } of NOTES) playNote(context, frequency, context.currentTime + at);
  }

  /** The same, once the browser allows it, after the click that has just been made. */
  async test() {
    await this.#resume();
    this.play();
  }

  async #resume() {
    if (this.#context && this.isBlocked) await this.#context.resume();
  }
}

/**
 * @param {AudioContext} context
 * @param {number} frequency Hz
 * @param {number} start s of the context
 */
function playNote(context, frequency, start) {
  const oscillator = new OscillatorNode(context, { type: "triangle", frequency });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(LOUDNESS, start + ATTACK);
  gain.gain.exponentialRampToValueAtTime(SILENCE, start + NOTE_LASTS);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(start);
  oscillator.stop(start + NOTE_LASTS);
}
