// A student's tile: the state by colour and shape, where they are, how it goes.

import { serverNow } from "./api.js";
import { arrange, el, set } from "./dom.js";
import { STATES } from "./store.js";
import { ago, cellName, t } from "./texts.js";

export class Tile {
  constructor(classId) {
    this.classId = classId;
    this.shape = el("span", { className: "shape", ariaHidden: "true" });
    this.title = el("strong");
    this.team = el("span", { className: "team" });
    this.what = el("span", { className: "what" });
    this.place = el("span", { className: "place" });
    this.numbers = el("span", { className: "numbers" });
    this.heard = el("span", { className: "heard" });
    this.link = el(
      "a",
      {},
      this.shape,
      this.title,
      this.team,
      this.what,
      this.place,
      this.numbers,
      this.heard,
    );
    this.element = el("li", { className: "tile" }, this.link);
  }

  show(student, state, request, now = serverNow()) {
    this.student = student;
    this.state = state;
    this.name = student.name ?? student.user_id;
    this.row = student.errors_in_a_row;
    this.asked = request ? Date.parse(request.asked_at) : 0;
    this.taken = Boolean(request?.taken_by);
    this.element.dataset.state = state;
    this.element.classList.toggle("is-taken", this.taken);
    this.shape.dataset.state = state;
    const href = `#/class/${this.classId}/student/${student.student_id}`;
    if (this.link.getAttribute("href") !== href) this.link.setAttribute("href", href);
    set(this.title, this.name);
    set(this.team, student.team ?? "");
    set(this.what, request?.taken_by ? t("taken", request.taken_by) : t(`state_${state}`));
    set(this.place, place(student));
    const run = this.row ? ` · ${t("in_a_row", this.row)}` : "";
    set(this.numbers, t("runs", student.executions) + run);
    set(this.heard, student.heard ? ago(now - student.heard) : t("never"));
  }

  // Whether time alone has changed the state.
  age(store) {
    if (this.student.heard) set(this.heard, ago(serverNow() - this.student.heard));
    return store.state(this.student) !== this.state;
  }

  matches({ state, text }) {
    if (state && this.state !== state) return false;
    const { user_id: userId, team, notebook_path: path } = this.student;
    return [this.name, userId, team, path].join("\n").toLowerCase().includes(text);
  }
}

function place(student) {
  if (!student.notebook_path) return "";
  const file = student.notebook_path.split("/").pop();
  return student.cell_id ? `${file} · ${cellName(student.cell_position)}` : file;
}

// How many are in each state.
export function showCounts(parent, tiles) {
  arrange(
    parent,
    STATES.map((state) => {
      const number = tiles.filter((tile) => tile.state === state).length;
      return chip(parent, state, number);
    }),
  );
}

function chip(parent, state, number) {
  const found = [...parent.children].find((each) => each.dataset.state === state);
  const made =
    found ??
    el(
      "span",
      { className: "chip" },
      el("span", { className: "shape", ariaHidden: "true" }),
      el("span"),
    );
  made.dataset.state = state;
  made.firstChild.dataset.state = state;
  set(made.lastChild, `${t(`state_${state}`)} ${number}`);
  return made;
}
