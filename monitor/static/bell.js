// The bell in the header, and its menu: how new calls are noticed. Off at first, kept in the browser.

import { AwakeWay, NotificationWay, SoundWay, VibrationWay } from "./alert-ways.js";
import { el, setText } from "./dom.js";
import { t } from "./i18n.js";
import { shape } from "./shapes.js";

/** @import { Ring, Way } from "./alert-ways.js" */

const CHOSEN_KEY = "alerts"; // in the browser's storage: names of ways

export class Bell {
  #sound = new SoundWay(() => this.#show());
  #awake = new AwakeWay((error) => this.#fail("awake", error));
  /** @type {Way[]} */
  #ways = [this.#sound, new VibrationWay(), new NotificationWay(), this.#awake];
  #chosen = chosen();
  /** @type {Map<string, Row>} */
  #rows = new Map(); // by the way's name
  #blocked = el("p", { className: "trouble", textContent: t("sound_blocked"), hidden: true });
  #label = el("span");
  #button = el("button", { type: "button", className: "bell" }, shape("bell"), this.#label);
  element;

  constructor() {
    const rows = this.#ways.map((way) => {
      const row = new Row(way, (isOn) => this.#choose(way, isOn));
      this.#rows.set(way.name, row);
      return row.element;
    });
    const legend = el("legend", { textContent: t("alerts_for") });
    const menu = el(
      "div",
      { className: "alerts", popover: "auto", role: "dialog", ariaLabel: t("alerts") },
      el("fieldset", {}, legend, rows),
      this.#blocked,
    );
    this.#button.popoverTargetElement = menu;
    this.element = el("div", { hidden: true }, this.#button, menu);
    this.element.onkeydown = (event) => {
      const isOpen = menu.matches(":popover-open");
      if (event.key === "Escape" && isOpen) event.stopPropagation(); // it closes the menu, and that is all
    };
    for (const way of this.#ways) if (this.#isOn(way)) this.#restore(way);
    this.#show();
  }

  /** @param {Ring} ring */
  ring(ring) {
    for (const way of this.#ways) {
      try {
        if (this.#isOn(way)) way.ring(ring);
      } catch (error) {
        this.#fail(way.name, error);
      }
    }
  }

  /** @param {Way} way */
  #isOn({ name, missing }) {
    return !missing && this.#chosen.has(name);
  }

  /** @param {Way} way */
  async #restore(way) {
    try {
      await way.restore();
    } catch (error) {
      this.#fail(way.name, error);
    }
  }

  /**
   * @param {Way} way
   * @param {boolean} isOn
   */
  async #choose(way, isOn) {
    this.#rows.get(way.name)?.explain("");
    if (isOn) this.#chosen.add(way.name);
    else this.#chosen.delete(way.name);
    try {
      await (isOn ? way.turnOn() : way.turnOff());
    } catch (error) {
      this.#chosen.delete(way.name);
      way.turnOff(); // it would try again later
      this.#fail(way.name, error);
    }
    localStorage.setItem(CHOSEN_KEY, [...this.#chosen].join(" "));
    this.#show();
  }

  /**
   * @param {string} name of the way
   * @param {unknown} error
   */
  #fail(name, error) {
    this.#rows.get(name)?.explain(error instanceof Error ? error.message : String(error));
    this.#show();
  }

  #show() {
    const isOn = this.#ways.some((way) => way.rings && this.#isOn(way));
    const isBlocked = this.#isOn(this.#sound) && this.#sound.isBlocked;
    const state = isBlocked ? "silent" : isOn ? "on" : "off";
    this.#button.dataset.state = state;
    setText(this.#label, t(`alerts_${state}`));
    this.#blocked.hidden = !isBlocked;
    for (const way of this.#ways) this.#rows.get(way.name)?.check(this.#isOn(way));
  }
}

/** A way to choose, with what is wrong with it. */
class Row {
  #box = el("input", { type: "checkbox" });
  #trouble = el("p", { className: "trouble", role: "alert" });

  /**
   * @param {Way} way
   * @param {(isOn: boolean) => void} choose
   */
  constructor({ name, missing }, choose) {
    this.#box.disabled = missing !== null;
    this.#box.onchange = () => choose(this.#box.checked);
    this.element = el(
      "div",
      {},
      el("label", {}, this.#box, ` ${t(`alert_${name}`)}`),
      missing && el("p", { className: "hint", textContent: t(missing) }),
      this.#trouble,
    );
  }

  /** @param {boolean} isOn */
  check(isOn) {
    this.#box.checked = isOn;
  }

  /** @param {string} problem */
  explain(problem) {
    setText(this.#trouble, problem);
  }
}

/** @returns {Set<string>} */
function chosen() {
  return new Set(localStorage.getItem(CHOSEN_KEY)?.split(" ").filter(Boolean));
}
