// Output and errors as a terminal would show them.

import { pre } from "./dom.js";

const ESCAPE = "\u001b";
const BELL = "\u0007";
const MAX_INDENT = 80; // columns that sequences may leave empty in a line

// Control sequences, after their escape character, with parameters and command.
const SEQUENCE = /^\[([0-?]*)[ -/]*([@-~])/u;
// Titles, links and other strings that are no output; they end with a bell or another sequence.
const STRING = /^[\]PX^_]/u;
const OTHER_SEQUENCE = /^[ -/]*[0-~]/u;

// Colours whose escape character a client has written out or dropped.
const WRITTEN_COLOUR = /(?:\\x1b|\\u001b|\\033|\\e|\^\[|\u241b)?\[\d{1,3}(?:;\d{1,3})*m/giu;

/**
 * Output, or an error, to read; it takes the focus, so that a keyboard can scroll it.
 *
 * @param {string} text
 * @param {"output" | "error"} className
 */
export function terminal(text, className) {
  return pre(terminalText(text), className, className);
}

/**
 * The text without escape sequences, its lines as they end up: what follows a carriage return
 * overwrites them, as a progress bar does. Takes time in proportion to the text.
 *
 * @param {string} text
 */
export function terminalText(text) {
  const shown = withoutWrittenColours(text);
  if (!/\p{Cc}/u.test(shown.replaceAll(/[\n\t]/g, ""))) return shown;
  const screen = new Screen();
  const [start, ...rest] = shown.replaceAll("\u009b", `${ESCAPE}[`).split(ESCAPE);
  screen.write(start);
  for (const part of rest) screen.write(afterSequence(part, screen));
  return screen.text();
}

/**
 * The first line of an error that says something.
 *
 * @param {string} error
 */
export function firstLine(error) {
  const lines = terminalText(error).split("\n");
  return (lines.find((line) => /[\p{L}\p{N}]/u.test(line)) ?? "").trim();
}

// One alone may be what somebody wrote.
/** @param {string} text */
function withoutWrittenColours(text) {
  if (text.includes(ESCAPE)) return text;
  const found = text.match(WRITTEN_COLOUR) ?? [];
  return found.length > 1 ? text.replaceAll(WRITTEN_COLOUR, "") : text;
}

/**
 * Obeys the sequence that `part` begins with, and returns what follows it.
 *
 * @param {string} part
 * @param {Screen} screen
 */
function afterSequence(part, screen) {
  if (STRING.test(part)) return afterString(part);
  const [sequence, parameters, command] = SEQUENCE.exec(part) ?? [];
  if (sequence === undefined) return part.replace(OTHER_SEQUENCE, "");
  screen.obey(command, parameters.split(";").map(Number));
  return part.slice(sequence.length);
}

/** @param {string} part */
function afterString(part) {
  const [line] = part.split("\n", 1);
  const bell = line.indexOf(BELL);
  return part.slice(bell < 0 ? line.length : bell + 1);
}

/** Lines of characters, and where the next one is written. */
class Screen {
  /** @type {string[][]} */
  #lines = [[]];
  #row = 0;
  #column = 0;

  text() {
    return this.#lines.map((line) => line.join("")).join("\n");
  }

  /** @param {string} text without escape sequences */
  write(text) {
    for (const character of text) {
      if (character === "\n") this.#breakLine();
      else if (character === "\r") this.#column = 0;
      else if (character === "\b") this.#column = Math.max(0, this.#column - 1);
      else if (character === "\t" || !/\p{Cc}/u.test(character)) this.#put(character);
    }
  }

  /**
   * @param {string} command
   * @param {number[]} parameters NaN where they are no numbers
   */
  obey(command, [first, second]) {
    const count = Math.max(1, first || 1);
    if (command === "A") this.#row = Math.max(0, this.#row - count);
    else if (command === "B") this.#row = Math.min(this.#lines.length - 1, this.#row + count);
    else if (command === "C") this.#moveTo(this.#column + count);
    else if (command === "D") this.#moveTo(this.#column - count);
    else if (command === "G") this.#moveTo(count - 1);
    else if (command === "H") this.#goHome(count - 1, (second || 1) - 1);
    else if (command === "J") this.#erase(first || 0);
    else if (command === "K") this.#eraseLine(first || 0);
  }

  #breakLine() {
    this.#row += 1;
    this.#column = 0;
    if (this.#row === this.#lines.length) this.#lines.push([]);
  }

  /** @param {string} character */
  #put(character) {
    const line = this.#lines[this.#row];
    while (line.length < this.#column) line.push(" ");
    line[this.#column] = character;
    this.#column += 1;
  }

  /** @param {number} column */
  #moveTo(column) {
    const last = this.#lines[this.#row].length + MAX_INDENT;
    this.#column = Math.max(0, Math.min(last, column));
  }

  /**
   * @param {number} row
   * @param {number} column
   */
  #goHome(row, column) {
    this.#row = Math.min(this.#lines.length - 1, row);
    this.#moveTo(column);
  }

  /** @param {number} part 0: below, else everything */
  #erase(part) {
    if (part === 0) {
      this.#lines.length = this.#row + 1;
      this.#eraseLine(0);
    } else if (part > 1) {
      this.#lines = [[]];
      this.#row = 0;
      this.#column = 0;
    }
  }

  /** @param {number} part 0: to the right, 1: to the left, 2: all of it */
  #eraseLine(part) {
    const line = this.#lines[this.#row];
    if (part === 1) line.fill(" ", 0, this.#column + 1);
    else line.length = part === 0 ? Math.min(line.length, this.#column) : 0;
  }
}
