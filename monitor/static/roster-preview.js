// What a list would change on a roster, before anything is written.

import { el, joinFacts } from "./dom.js";
import { t } from "./i18n.js";

/** @import { EnrolmentLine, EnrolmentReport, RosterColumn, RosterFile } from "./types.d.ts" */

/**
 * The report in words and tables.
 *
 * @param {EnrolmentReport} report
 */
export function previewOf({ counts, file, lines, absent, remarks, room }) {
  const affected = lines.filter((line) => line.outcome !== "unchanged" || line.looks_like.length);
  const rest = lines.filter((line) => !affected.includes(line));
  const more = counts.absent - absent.length;
  return [
    el("p", {
      className: "totals",
      textContent: t("enrol_counts", counts.new, counts.changed, counts.unchanged),
    }),
    el("p", { className: "hint", textContent: t("enrol_read_as", readingOf(file)) }),
    room ? el("p", { textContent: t("room_gets", room.rows, room.columns) }) : null,
    affected.length ? tableOf(affected) : null,
    folded(
      t("left_out", remarks.length),
      remarks.map((each) => `${t("line_n", each.line)} · ${t(`remark_${each.remark}`)}`),
      true,
    ),
    folded(t("unchanged_lines", rest.length), rest.map(nameOf)),
    folded(t("absent", counts.absent), [
      ...absent.map(nameOf),
      ...(more > 0 ? [t("and_more", more)] : []),
    ]),
  ];
}

/** @param {RosterFile} file */
function readingOf({ format, encoding, columns }) {
  const used = columns.filter((column) => column.field);
  return joinFacts([t(`format_${format}`), encoding.toUpperCase(), ...used.map(meaningOf)]);
}

/** @param {RosterColumn} column */
function meaningOf({ number, heading, field }) {
  return t("column_is", heading ?? t("column_n", number), field ? t(field) : "");
}

/** @param {{ name: string | null, user_id: string }} person */
function nameOf({ name, user_id: userId }) {
  return joinFacts([name, userId]);
}

/**
 * @param {string} summary
 * @param {string[]} items
 * @param {boolean} [open]
 */
function folded(summary, items, open = false) {
  if (!items.length) return null;
  return el(
    "details",
    { open },
    el("summary", { textContent: summary }),
    el(
      "ul",
      { className: "plain" },
      items.map((textContent) => el("li", { textContent })),
    ),
  );
}

/** @param {EnrolmentLine[]} lines */
function tableOf(lines) {
  /** @param {"line" | "outcome" | "name" | "user_id" | "details"} name */
  const heading = (name) => el("th", { scope: "col", textContent: t(name) });
  return el(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", ariaLabel: t("outcome") },
    el(
      "table",
      { className: "people preview" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heading("line"),
          heading("outcome"),
          heading("name"),
          heading("user_id"),
          heading("details"),
        ),
      ),
      el("tbody", {}, lines.map(rowOf)),
    ),
  );
}

/** @param {EnrolmentLine} line */
function rowOf(line) {
  const alike = line.looks_like.map((each) =>
    el("li", {
      className: "stuck",
      textContent: t(
        "looks_like",
        each.line === null ? nameOf(each) : `${t("line_n", each.line)} ${nameOf(each)}`,
        each.likenesses.map((likeness) => t(`likeness_${likeness}`)).join(" · "),
      ),
    }),
  );
  return el(
    "tr",
    {},
    el("td", { textContent: line.line }),
    el("td", { className: `outcome-${line.outcome}`, textContent: t(`outcome_${line.outcome}`) }),
    el("th", { scope: "row", textContent: line.name ?? "" }),
    el("td", { textContent: line.user_id }),
    el(
      "td",
      {},
      el(
        "ul",
        { className: "plain" },
        line.outcome === "new" ? el("li", { textContent: factsOf(line) }) : changesOf(line),
        alike,
      ),
    ),
  );
}

/** @param {EnrolmentLine} line */
function factsOf({ number, kana, email, team, seat, role }) {
  return joinFacts([
    number === null ? null : t("number_is", number),
    kana,
    email,
    team,
    seat && t("seat_is", seat),
    t(role),
  ]);
}

/** @param {EnrolmentLine} line */
function changesOf({ changes }) {
  return changes.map(({ field, old, new: value }) =>
    el("li", {
      textContent: t("change_of", t(field), shown(field, old), shown(field, value)),
    }),
  );
}

/**
 * @param {string} field
 * @param {string | number | null} value
 */
function shown(field, value) {
  if (value === null) return t("empty_value");
  if (typeof value === "number") return String(value);
  if (field !== "role") return value;
  const roles = /** @type {const} */ (["student", "assistant", "teacher"]);
  const role = roles.find((each) => each === value);
  return role ? t(role) : t("to_be_let_in");
}
