// Shapes, one for each state of a student, and a bell: pictures in the colour of the text, so that they keep their
// form where the browser chooses the colours.

/** @import { SeatState } from "./types.d.ts" */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {SeatState | "bell"} Form */

/** @type {Record<Form, string>} */
const PATHS = {
  help: "M50 0 61 35H98L68 57 79 91 50 70 21 91 32 57 2 35H39Z", // a star
  stuck: "M30 0H70L100 30V70L70 100H30L0 70V30Z", // an octagon
  error: "M50 0 100 100H0Z", // a triangle
  active: "M50 0A50 50 0 0 1 50 100 50 50 0 0 1 50 0Z", // a disc
  reading: "M0 15H45V85H0ZM55 15H100V85H55Z", // two pages
  finished: "M13 47 38 72 88 14 99 26 39 95 2 58Z", // a tick
  idle: "M0 38H100V62H0Z", // a bar
  absent: "M0 12 12 0 50 38 88 0 100 12 62 50 100 88 88 100 50 62 12 100 0 88 38 50Z", // a cross
  bell: "M50 0 78 20 82 62 100 80H62L58 100H42L38 80H0L18 62 22 20Z",
};

/**
 * A shape beside a text that says the same.
 *
 * @param {Form} [form]
 */
export function shape(form = "idle") {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "shape");
  picture.setAttribute("viewBox", "0 0 100 100");
  picture.setAttribute("aria-hidden", "true");
  picture.append(document.createElementNS(SVG, "path"));
  showShape(picture, form);
  return picture;
}

/**
 * @param {SVGElement} picture that `shape` made
 * @param {Form} form
 */
export function showShape(picture, form) {
  if (picture.dataset.state === form) return;
  picture.dataset.state = form;
  picture.firstElementChild?.setAttribute("d", PATHS[form]);
}
