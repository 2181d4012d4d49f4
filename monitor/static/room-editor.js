// The dialog in which seats are given, and saved.

import { send } from "./api.js";
import { askBefore } from "./dialog.js";
import { alertLine, button, el, failure, setText, toast } from "./dom.js";
import { t } from "./i18n.js";
import { SeatBoard } from "./seat-board.js";
import { MAX_SIDE, SeatDraft } from "./seat-draft.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Room } from "./types.d.ts" */

export class RoomEditor {
  #store;
  #draft;
  #rows = el("input", { type: "number", min: 1, max: MAX_SIDE });
  #columns = el("input", { type: "number", min: 1, max: MAX_SIDE });
  #board;
  #trouble = alertLine();
  #warning = alertLine();
  #theirs = button(t("seats_theirs"), () => this.#takeTheirs());
  #isSaving = false;
  /** @type {Room | null} */
  #latest = null; // what somebody else has saved meanwhile
  #closing = new AbortController();
  /** @type {Element | null} */
  #opener = null;
  #dialog;

  /**
   * @param {ClassStore} store
   * @param {Room} room
   */
  constructor(store, room) {
    this.#store = store;
    this.#draft = new SeatDraft(store, room);
    this.#board = new SeatBoard(store, this.#draft);
    this.#dialog = el(
      "dialog",
      { className: "room-editor", ariaLabel: t("edit_seats") },
      el("p", { className: "print-title", textContent: store.current.name }),
      this.#tools(),
      el("p", { className: "hint", textContent: t("edit_seats_hint") }),
      this.#warning,
      this.#theirs,
      this.#trouble,
      el("p", { className: "desk", textContent: t("desk") }),
      ...this.#board.elements,
    );
    this.#listen();
  }

  #listen() {
    this.#dialog.onclose = () => this.#remove();
    this.#dialog.oncancel = (event) => this.#escape(event); // such as by a phone's gesture
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) this.#escape(event);
    });
    /** @param {Room} room */
    const outdate = (room) => {
      this.#latest = room;
      this.#warn();
    };
    this.#store.on(["room"], outdate, this.#closing.signal);
    this.#warn();
  }

  open() {
    this.#opener = document.activeElement;
    document.body.append(this.#dialog);
    this.#dialog.showModal();
    this.#draw();
  }

  #remove() {
    this.#closing.abort();
    this.#dialog.remove();
    if (this.#opener instanceof HTMLElement) this.#opener.focus();
  }

  /** @param {Event} event */
  #escape(event) {
    event.preventDefault();
    event.stopPropagation(); // the view behind would go back
    if (this.#draft.picked) this.#board.putBack();
    else this.#leave();
  }

  #leave() {
    const close = async () => this.#dialog.close();
    if (!this.#draft.isChanged) close();
    else askBefore({ question: t("seats_unsaved"), confirm: t("discard"), task: close });
  }

  #tools() {
    const save = button(t("save"), () => this.#save());
    save.className = "primary";
    return el(
      "div",
      { className: "bar" },
      this.#side("rows", t("seat_rows"), this.#rows),
      this.#side("columns", t("seat_columns"), this.#columns),
      button(t("by_number"), () => this.#change(() => this.#draft.sitByNumber())),
      button(t("clear_seats"), () => this.#change(() => this.#draft.clear())),
      button(t("print_seats"), () => print()),
      save,
      button(t("cancel"), () => this.#leave()),
    );
  }

  /**
   * @param {"rows" | "columns"} side
   * @param {string} text
   * @param {HTMLInputElement} input
   */
  #side(side, text, input) {
    input.onchange = () => this.#change(() => this.#draft.resize(side, input.valueAsNumber));
    return el("label", {}, `${text} `, input);
  }

  /** @param {() => void} change of the draft */
  #change(change) {
    change();
    this.#draw();
  }

  #draw() {
    this.#rows.value = String(this.#draft.rows);
    this.#columns.value = String(this.#draft.columns);
    this.#board.draw();
  }

  // While this page saves, a change may be its own.
  #warn() {
    const isOutdated = this.#latest !== null && !this.#isSaving;
    this.#theirs.hidden = !isOutdated;
    setText(this.#warning, isOutdated ? t("seats_changed") : "");
  }

  // Begins anew with what somebody else has saved.
  #takeTheirs() {
    const room = this.#latest;
    this.#dialog.close();
    if (room) new RoomEditor(this.#store, room).open();
  }

  async #save() {
    if (this.#isSaving) return;
    this.#isSaving = true;
    const { activeElement: focused } = document;
    this.#dialog.inert = true; // what is moved from now on would not be sent
    try {
      await send("PUT", `classes/${this.#store.id}/room`, this.#draft.room);
      toast(t("seats_saved"));
      this.#dialog.close();
    } catch (error) {
      setText(this.#trouble, failure(error));
      this.#isSaving = false;
      this.#dialog.inert = false;
      if (focused instanceof HTMLElement) focused.focus();
      this.#warn();
    }
  }
}
