// Who sits where: by dragging, or by choosing a student and then a seat.

import { stepOf } from "./arrow-keys.js";
import { button, el, setText } from "./dom.js";
import { t } from "./i18n.js";
import { seatName, trackOf, tracksOf } from "./seat-plan.js";

/** @import { SeatDraft } from "./seat-draft.js" */
/** @import { Place } from "./seat-plan.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { Student } from "./types.d.ts" */

export class SeatBoard {
  #store;
  #draft;
  #grid = el("div", { className: "seats" });
  #standing = el("div", { className: "standing", ariaLabel: t("no_seat"), role: "group" });
  #said = el("p", { className: "visually-hidden", role: "status" });
  #stop = keyOf({ row: 1, column: 1 }); // the seat that Tab leads to
  elements = [this.#grid, el("h3", { textContent: t("no_seat") }), this.#standing, this.#said];

  /**
   * @param {ClassStore} store
   * @param {SeatDraft} draft
   */
  constructor(store, draft) {
    this.#store = store;
    this.#draft = draft;
    this.#grid.addEventListener("keydown", (event) => this.#press(event));
    this.#grid.addEventListener("focusin", ({ target }) => this.#reach(target));
    this.#standing.onclick = ({ target }) => {
      if (target === this.#standing) this.#unseat(draft.picked);
    };
    this.#droppable(this.#standing, () => this.#unseat(draft.picked));
  }

  /**
   * What has the focus keeps it, unless another thing gets it.
   *
   * @param {string} [key] of the other
   */
  draw(key = focusedKey()) {
    const { seats, standing, picked } = this.#draft;
    if (!seats.some((place) => keyOf(place) === this.#stop)) this.#stop = keyOf(seats[0]);
    this.#grid.style.gridTemplateColumns = tracksOf(this.#draft);
    this.#grid.replaceChildren(...this.#aisleBoxes(), ...seats.map((place) => this.#seat(place)));
    this.#standing.replaceChildren(...standing.map((student) => this.#chip(student)));
    if (this.#draft.placeOf(picked)) {
      const text = t("unseat", this.#nameOf(picked));
      this.#standing.prepend(button(text, () => this.#unseat(picked)));
    }
    if (key) this.#focus(key);
  }

  /** Nobody is picked up any more. */
  putBack() {
    this.#pick(0, t("let_go", this.#nameOf(this.#draft.picked)));
  }

  #aisleBoxes() {
    const { columns, aisles } = this.#draft;
    return Array.from({ length: columns - 1 }, (_, index) => {
      const column = index + 1;
      const label = t("aisle_after", column);
      const checked = aisles.includes(column);
      const box = el("input", { type: "checkbox", checked, ariaLabel: label, title: label });
      box.dataset.key = `aisle ${column}`;
      box.onchange = () => {
        this.#draft.setAisle(column, box.checked);
        this.draw();
      };
      const cell = el("div", { className: "aisle-box" }, box);
      cell.style.gridColumn = String(trackOf(this.#draft, column));
      cell.style.gridRow = "1";
      return cell;
    });
  }

  /** @param {Place} place */
  #seat(place) {
    const student = this.#draft.at(place);
    const id = student?.student_id ?? 0;
    const seat = el(
      "button",
      { type: "button", className: "seat", draggable: Boolean(student) },
      el("small", { textContent: seatName(place) }),
      student?.number ? el("small", { textContent: String(student.number) }) : null,
      el("strong", { textContent: student ? nameOf(student) : "" }),
      student?.kana ? el("small", { textContent: student.kana }) : null,
    );
    seat.ariaLabel = `${seatName(place)} ${student ? nameOf(student) : t("empty_seat")}`;
    seat.ariaPressed = String(id > 0 && id === this.#draft.picked);
    seat.tabIndex = keyOf(place) === this.#stop ? 0 : -1;
    seat.style.gridColumn = String(trackOf(this.#draft, place.column));
    seat.style.gridRow = String(place.row + 1);
    seat.dataset.key = keyOf(place);
    seat.onclick = () => this.#choose(place, id);
    this.#draggable(seat, id);
    this.#droppable(seat, () => this.#put(place));
    return seat;
  }

  /** @param {Student} student */
  #chip(student) {
    const { student_id: id } = student;
    const chip = button(nameOf(student), () => this.#pickToSeat(id));
    chip.draggable = true;
    chip.dataset.key = `student ${id}`;
    chip.ariaPressed = String(id === this.#draft.picked);
    this.#draggable(chip, id);
    return chip;
  }

  // Nothing is drawn while one is dragged: what is dragged would be gone.
  /**
   * @param {HTMLElement} element
   * @param {number} id of a student
   */
  #draggable(element, id) {
    element.ondragstart = () => {
      this.#draft.picked = id;
    };
    element.ondragend = () => {
      this.#draft.picked = 0; // where it was dropped nowhere
      this.draw();
    };
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
   * @param {number} id of the student who has it, 0: nobody
   */
  #choose(place, id) {
    if (this.#draft.picked) this.#put(place);
    else if (id) this.#pick(id, t("picked_up", this.#nameOf(id)));
  }

  // From the list to the seats: to the first that is free.
  /** @param {number} id of a student without a seat */
  #pickToSeat(id) {
    if (id === this.#draft.picked) {
      this.putBack();
      return;
    }
    const free = this.#draft.seats.find((place) => !this.#draft.at(place));
    this.#pick(id, t("picked_up", this.#nameOf(id)), free ? keyOf(free) : this.#stop);
  }

  /**
   * @param {number} id of a student, 0: nobody
   * @param {string} text to say
   * @param {string} [key] of what gets the focus
   */
  #pick(id, text, key) {
    this.#draft.picked = id;
    setText(this.#said, text);
    this.draw(key);
  }

  /** @param {Place} place */
  #put(place) {
    const { picked } = this.#draft;
    if (!picked) return;
    this.#draft.put(place);
    setText(this.#said, t("put_down", this.#nameOf(picked), seatName(place)));
    this.draw(keyOf(place));
  }

  /** @param {number} id of a student, 0: nobody */
  #unseat(id) {
    if (!id) return;
    this.#draft.unseat(id);
    setText(this.#said, t("unseated", this.#nameOf(id)));
    this.draw(focusedKey() || `student ${id}`);
  }

  /** @param {number} id of a student */
  #nameOf(id) {
    const student = this.#store.byId(id);
    return student ? nameOf(student) : "";
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const [kind, row, column] = focusedKey().split(" ");
    if (kind !== "seat") return;
    const place = { row: Number(row), column: Number(column) };
    const step = stepOf(event);
    const isDelete = event.key === "Delete" || event.key === "Backspace";
    if (step) this.#focus(keyOf({ row: place.row + step[0], column: place.column + step[1] }));
    else if (isDelete) this.#unseat(this.#draft.picked || (this.#draft.at(place)?.student_id ?? 0));
    if (step || isDelete) event.preventDefault();
  }

  /** @param {string} key */
  #focus(key) {
    const selector = `[data-key="${key}"]`;
    const element = this.#grid.querySelector(selector) ?? this.#standing.querySelector(selector);
    if (element instanceof HTMLElement) element.focus();
  }

  /** @param {EventTarget | null} target that has the focus */
  #reach(target) {
    if (!(target instanceof HTMLElement) || !target.matches(".seat")) return;
    for (const each of this.#grid.querySelectorAll(".seat"))
      if (each instanceof HTMLElement) each.tabIndex = each === target ? 0 : -1;
    this.#stop = target.dataset.key ?? this.#stop;
  }
}

/** @param {Student} student */
function nameOf({ name, user_id: userId }) {
  return name ?? userId;
}

/** @param {Place} place */
function keyOf({ row, column }) {
  return `seat ${row} ${column}`;
}

function focusedKey() {
  const { activeElement: active } = document;
  return (active instanceof HTMLElement && active.dataset.key) || "";
}
