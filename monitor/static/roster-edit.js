// The dialog that changes a line of the roster.

import { ApiError, send } from "./api.js";
import { alertLine, button, el, failure, setText } from "./dom.js";
import { makeForm } from "./forms.js";
import { t } from "./i18n.js";

/** @import { RosterEntry } from "./types.d.ts" */

/** @type {("number" | "name" | "kana" | "email" | "team" | "seat")[]} */
const FIELDS = ["number", "name", "kana", "email", "team", "seat"];
const MAX_LENGTH = 512;
const NUMBER = /^\d{1,4}$/;
const SIDE = "([1-9]|[1-4][0-9]|50)"; // of a room, in seats
const SEAT = new RegExp(`^([A-Z]|A[A-X]|${SIDE}-)${SIDE}$`);

/**
 * Opens the dialog; what is wrong is said in it.
 *
 * @param {object} options
 * @param {RosterEntry} options.person
 * @param {RosterEntry[]} options.people on the roster
 * @param {string} options.label
 * @param {string} options.path of the line
 * @param {() => Promise<void>} options.saved
 */
export function editPerson({ person, people, label, path, saved }) {
  const trouble = alertLine();
  const form = makeForm({
    heading: label,
    fields: FIELDS.map((field) => ({
      name: field,
      label: t(field),
      properties: {
        value: person[field] ?? "",
        maxLength: MAX_LENGTH,
        inputMode: field === "number" ? "numeric" : "text",
      },
    })),
    button: t("save"),
    submit: async (values) => {
      setText(trouble, isNumberOrEmpty(values.number) ? "" : t("number_is_none"));
      if (trouble.textContent) return;
      try {
        await send("PUT", path, changesOf(person, values));
      } catch (error) {
        setText(trouble, reasonOf(error, values.seat ?? "", people, person));
        return;
      }
      dialog.close();
      await saved();
    },
  });
  form.className = "";
  form.querySelector("button")?.before(trouble);
  form.append(" ", button(t("cancel"), () => dialog.close()));
  const hint = el("p", { className: "hint", textContent: t("edit_hint") });
  const dialog = el("dialog", { className: "card", ariaLabel: label }, form, hint);
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {string} [text] */
function isNumberOrEmpty(text = "") {
  const narrow = text.normalize("NFKC");
  return !narrow || (NUMBER.test(narrow) && Number(narrow) > 0);
}

/**
 * Why nothing was saved: the server decides, and here it is said in the page's language.
 *
 * @param {unknown} error
 * @param {string} written as the seat
 * @param {RosterEntry[]} people
 * @param {RosterEntry} person
 */
function reasonOf(error, written, people, person) {
  const narrow = written.normalize("NFKC").toUpperCase().replace(/\s/g, "");
  const seat = narrow.replace(/^([A-Z]+)-?0*/, "$1");
  if (!(error instanceof ApiError) || error.status !== 422 || !seat) return failure(error);
  const holder = people.find((each) => each !== person && each.seat === seat);
  if (holder) return t("seat_held", holder.name ?? holder.user_id, seat);
  return SEAT.test(seat) ? failure(error) : t("seat_is_none", written);
}

/**
 * What was edited, null where nothing is left.
 *
 * @param {RosterEntry} person
 * @param {Record<string, string>} values
 */
function changesOf(person, values) {
  const changed = FIELDS.filter((field) => values[field] !== String(person[field] ?? ""));
  return Object.fromEntries(
    changed.map((field) => {
      const text = values[field] ?? "";
      const number = field === "number" && Number(text.normalize("NFKC"));
      return [field, number || text || null];
    }),
  );
}
