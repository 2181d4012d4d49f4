// Who sits where: by dragging, or by choosing a student and then a seat.

import { send } from "./api.js";
import { alertLine, button, el, failure, setText, toast } from "./dom.js";
import { t } from "./i18n.js";
import { byNumber, seatName, trackOf, tracksOf } from "./seat-plan.js";

/** @import { Place } from "./seat-plan.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Room, Student } from "./types.d.ts" */

const MAX_SIDE = 50; // rows or columns
const FIRST_COLUMNS = 8; // of a class without a room

/** @type {Record<string, [number, number]>} rows and columns */
const ARROWS = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export class RoomEditor {
  #store;
  #rows;
  #columns;
  #aisles;
  /** @type {Map<number, Place>} */
  #places = new Map(); // by student_id
  #picked = 0; // a student's id
  #grid = el("div", { className: "seats" });
  #standing = el("div", { className: "standing", ariaLabel: t("no_seat"), role: "group" });
  #said = el("p", { className: "visually-hidden", role: "status" });
  #trouble = alertLine();
  #closing = new AbortController();
  #dialog;

  /**
   * @param {ClassStore} store
   * @param {Room} room
   */
  constructor(store, room) {
    this.#store = store;
    const students = [...store.students.values()];
    this.#columns = room.columns || Math.min(FIRST_COLUMNS, Math.max(1, students.length));
    this.#rows = room.rows || Math.max(1, Math.ceil(students.length / this.#columns));
    this.#aisles = new Set(room.aisles);
    for (const { student_id: id, seat_row: row, seat_column: column } of students)
      if (row && column) this.#places.set(id, { row, column });
    this.#dialog = el(
      "dialog",
      { className: "room-editor", ariaLabel: t("edit_seats") },
      this.#tools(),
      el("p", { className: "hint", textContent: t("edit_seats_hint") }),
      this.#trouble,
      el("p", { className: "desk", textContent: t("desk") }),
      this.#grid,
      el("h3", { textContent: t("no_seat") }),
      this.#standing,
      this.#said,
    );
    this.#dialog.onclose = () => this.#remove();
    this.#grid.addEventListener("keydown", (event) => this.#move(event));
    this.#droppable(this.#standing, () => this.#stand());
    const others = () => setText(this.#trouble, t("seats_changed"));
    store.on(["room"], others, this.#closing.signal);
  }

  open() {
    document.body.append(this.#dialog);
    this.#dialog.showModal();
    this.#draw();
  }

  #remove() {
    this.#closing.abort();
    this.#dialog.remove();
  }

  #tools() {
    const save = button(t("save"), () => this.#save());
    save.className = "primary";
    return el(
      "div",
      { className: "bar" },
      this.#side("seat_rows", this.#rows, (value) => (this.#rows = value)),
      this.#side("seat_columns", this.#columns, (value) => (this.#columns = value)),
      button(t("by_number"), () => this.#sitByNumber()),
      button(t("clear_seats"), () => this.#clear()),
      button(t("print_seats"), () => print()),
      save,
      button(t("cancel"), () => this.#dialog.close()),
    );
  }

  /**
   * @param {"seat_rows" | "seat_columns"} name
   * @param {number} value
   * @param {(value: number) => void} change
   */
  #side(name, value, change) {
    const input = el("input", { type: "number", min: 1, max: MAX_SIDE, value });
    input.onchange = () => {
      change(Math.min(MAX_SIDE, Math.max(1, Math.round(input.valueAsNumber) || 1)));
      for (const [id, { row, column }] of this.#places)
        if (row > this.#rows || column > this.#columns) this.#places.delete(id);
      this.#draw();
    };
    return el("label", {}, `${t(name)} `, input);
  }

  #draw() {
    /** @type {Map<string, number>} */
    const taken = new Map([...this.#places].map(([id, place]) => [seatName(place), id]));
    const columns = Array.from({ length: this.#columns }, (_, index) => index + 1);
    this.#grid.style.gridTemplateColumns = tracksOf(this.#plan);
    const rows = Array.from({ length: this.#rows }, (_, index) => index + 1);
    const seats = rows.flatMap((row) =>
      columns.map((column) => this.#seat({ row, column }, taken.get(seatName({ row, column })))),
    );
    this.#grid.replaceChildren(...this.#aisleBoxes(columns), ...seats);
    const standing = this.#students().filter(({ student_id: id }) => !this.#places.has(id));
    this.#standing.replaceChildren(...standing.map((student) => this.#chip(student)));
  }

  #students() {
    return [...this.#store.students.values()].sort(byNumber);
  }

  get #plan() {
    return { columns: this.#columns, aisles: [...this.#aisles] };
  }

  /** @param {number[]} columns */
  #aisleBoxes(columns) {
    return columns.slice(0, -1).map((column) => {
      const box = el("input", {
        type: "checkbox",
        checked: this.#aisles.has(column),
        ariaLabel: t("aisle_after", column),
        title: t("aisle_after", column),
      });
      box.onchange = () => {
        if (box.checked) this.#aisles.add(column);
        else this.#aisles.delete(column);
        this.#draw();
      };
      const cell = el("div", { className: "aisle-box" }, box);
      cell.style.gridColumn = String(trackOf(this.#plan, column));
      cell.style.gridRow = "1";
      return cell;
    });
  }

  /**
   * @param {Place} place
   * @param {number | undefined} id of a student
   */
  #seat(place, id) {
    const student = id === undefined ? undefined : this.#store.byId(id);
    const name = el("strong", { textContent: student ? nameOf(student) : "" });
    const seat = el(
      "button",
      { type: "button", className: "seat", draggable: Boolean(student) },
      el("small", { textContent: seatName(place) }),
      student?.number ? el("small", { textContent: String(student.number) }) : null,
      name,
      student?.kana ? el("small", { textContent: student.kana }) : null,
    );
    const who = student ? nameOf(student) : t("empty_seat");
    seat.ariaLabel = `${seatName(place)} ${who}`;
    seat.ariaPressed = String(id !== undefined && id === this.#picked);
    seat.style.gridColumn = String(trackOf(this.#plan, place.column));
    seat.style.gridRow = String(place.row + 1);
    seat.dataset.place = `${place.row} ${place.column}`;
    seat.onclick = () => this.#choose(place, id);
    seat.ondragstart = () => this.#pick(id ?? 0);
    this.#droppable(seat, () => this.#put(place));
    return seat;
  }

  /** @param {Student} student */
  #chip(student) {
    const { student_id: id } = student;
    const chip = button(nameOf(student), () => this.#pick(id === this.#picked ? 0 : id, true));
    chip.draggable = true;
    chip.ariaPressed = String(id === this.#picked);
    chip.ondragstart = () => this.#pick(id);
    return chip;
  }

  /**
   * @param {HTMLElement} element
   * @param {() => void} drop
   */
  #droppable(element, drop) {
    element.ondragover = (event) => event.preventDefault();
    element.ondrop = (event) => {
      event.preventDefault();
      drop();
    };
  }

  /**
   * @param {Place} place
   * @param {number | undefined} id of the student who has it
   */
  #choose(place, id) {
    if (this.#picked) this.#put(place);
    else if (id !== undefined) this.#pick(id, true);
    this.#focus(place);
  }

  /** @param {Place} place */
  #focus({ row, column }) {
    const seat = this.#grid.querySelector(`[data-place="${row} ${column}"]`);
    if (seat instanceof HTMLElement) seat.focus();
  }

  /**
   * @param {number} id of a student, 0: nobody
   * @param {boolean} [redraws] not while one is dragged
   */
  #pick(id, redraws = false) {
    this.#picked = id;
    const student = this.#store.byId(id);
    setText(this.#said, student ? t("picked_up", nameOf(student)) : "");
    if (redraws) this.#draw();
  }

  // Who sits there changes places with who comes.
  /** @param {Place} place */
  #put(place) {
    const id = this.#picked;
    const student = this.#store.byId(id);
    if (!student) return;
    const from = this.#places.get(id);
    const there = [...this.#places].find(([, each]) => seatName(each) === seatName(place));
    this.#places.set(id, place);
    if (there && there[0] !== id) {
      if (from) this.#places.set(there[0], from);
      else this.#places.delete(there[0]);
    }
    this.#picked = 0;
    setText(this.#said, t("put_down", nameOf(student), seatName(place)));
    this.#draw();
  }

  #stand() {
    this.#places.delete(this.#picked);
    this.#picked = 0;
    this.#draw();
  }

  #clear() {
    this.#places.clear();
    this.#draw();
  }

  #sitByNumber() {
    const students = this.#students();
    this.#rows = Math.min(MAX_SIDE, Math.max(this.#rows, Math.ceil(students.length / this.#columns)));
    this.#places.clear();
    for (const [index, { student_id: id }] of students.entries()) {
      const row = 1 + Math.floor(index / this.#columns);
      if (row <= this.#rows) this.#places.set(id, { row, column: 1 + (index % this.#columns) });
    }
    this.#draw();
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const step = ARROWS[event.key];
    const seat = event.target instanceof HTMLElement && event.target.closest("[data-place]");
    if (!step || !(seat instanceof HTMLElement)) return;
    event.preventDefault();
    const [row, column] = (seat.dataset.place ?? "").split(" ").map(Number);
    this.#focus({ row: row + step[0], column: column + step[1] });
  }

  async #save() {
    const body = {
      rows: this.#rows,
      columns: this.#columns,
      aisles: [...this.#aisles].filter((column) => column < this.#columns),
      seats: [...this.#places].map(([id, { row, column }]) => ({ student_id: id, row, column })),
    };
    try {
      this.#closing.abort(); // what comes now is our own
      await send("PUT", `classes/${this.#store.id}/room`, body);
      toast(t("seats_saved"));
      this.#dialog.close();
    } catch (error) {
      setText(this.#trouble, failure(error));
    }
  }
}

/** @param {Student} student */
function nameOf({ name, user_id: userId }) {
  return name ?? userId;
}
