// How a new call is noticed: by sound, vibration or a notification, on a screen that stays on.
// Nothing here asks for permission but `turnOn`.

import { t } from "./i18n.js";
import { isProjected } from "./projected.js";
import { Tone } from "./tone.js";

/** @import { TextName } from "./i18n.js" */

/**
 * A call as it is told.
 *
 * @typedef {object} Ring
 * @property {string} text without a student's name: it may be seen on a projector
 * @property {string} href what it leads to
 */

/**
 * @typedef {object} Way
 * @property {"sound" | "vibration" | "notification" | "awake"} name
 * @property {boolean} rings whether it tells of calls
 * @property {TextName | null} missing why this browser hasn't it
 * @property {() => void | Promise<void>} turnOn after a click; throws why not, as a text for people
 * @property {() => void | Promise<void>} restore as it was chosen on an earlier day; throws likewise
 * @property {() => void} turnOff
 * @property {(ring: Ring) => void} ring
 */

const PATTERN = [200, 100, 200]; // ms: on, off, on
const TAG = "call"; // a new notification takes the place of the one before

/** @implements {Way} */
export class SoundWay {
  name = /** @type {const} */ ("sound");
  rings = true;
  missing = "AudioContext" in globalThis ? null : /** @type {const} */ ("alert_lacking");
  #tone;

  /** @param {() => void} changed after `isBlocked` may have changed */
  constructor(changed) {
    this.#tone = new Tone(changed);
  }

  get isBlocked() {
    return this.#tone.isBlocked;
  }

  async turnOn() {
    this.restore();
    await this.#tone.test();
  }

  restore() {
    this.#tone.open();
  }

  turnOff() {
    this.#tone.close();
  }

  ring() {
    this.#tone.play();
  }
}

/** @implements {Way} */
export class VibrationWay {
  name = /** @type {const} */ ("vibration");
  rings = true;
  missing = "vibrate" in navigator ? null : /** @type {const} */ ("alert_lacking");

  turnOn() {
    if (!navigator.vibrate(PATTERN)) throw new Error(t("vibration_refused"));
  }

  restore() {}

  turnOff() {
    navigator.vibrate(0);
  }

  ring() {
    navigator.vibrate(PATTERN);
  }
}

/** @implements {Way} */
export class NotificationWay {
  name = /** @type {const} */ ("notification");
  rings = true;
  missing = lacks("Notification" in globalThis);

  async turnOn() {
    await Notification.requestPermission();
    this.restore();
    try {
      show({ text: t("alert_test"), href: location.hash });
    } catch {
      throw new Error(t("alert_lacking")); // Chrome on Android has only those of service workers
    }
  }

  restore() {
    if (Notification.permission !== "granted") throw new Error(t("notification_refused"));
  }

  turnOff() {}

  // Not while this screen is shown to a class.
  /** @param {Ring} ring */
  ring(ring) {
    if (isProjected()) return;
    if (document.hidden || !document.hasFocus()) show(ring);
  }
}

/** @implements {Way} */
export class AwakeWay {
  name = /** @type {const} */ ("awake");
  rings = false;
  missing = lacks("wakeLock" in navigator);
  #isOn = false;
  /** @type {WakeLockSentinel | null} */
  #lock = null;

  /** @param {(error: unknown) => void} failed the browser didn't keep the screen on again */
  constructor(failed) {
    // A browser ends it when the page is hidden.
    document.addEventListener("visibilitychange", () => {
      if (this.#isOn && !document.hidden) this.restore().catch(failed);
    });
  }

  turnOn() {
    return this.restore();
  }

  async restore() {
    this.#isOn = true;
    if (document.hidden) return;
    this.#lock = await navigator.wakeLock.request("screen");
    if (!this.#isOn) this.turnOff(); // meanwhile
  }

  turnOff() {
    this.#isOn = false;
    this.#lock?.release();
    this.#lock = null;
  }

  ring() {}
}

/**
 * @param {boolean} isThere
 * @returns {TextName | null}
 */
function lacks(isThere) {
  if (!isSecureContext) return "alert_insecure";
  return isThere ? null : "alert_lacking";
}

/** @param {Ring} ring */
function show({ text, href }) {
  const notification = new Notification(t("title"), { body: text, tag: TAG });
  notification.onclick = () => {
    window.focus();
    location.hash = href;
    notification.close();
  };
}
