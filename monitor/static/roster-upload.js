// A list of people to enrol: a file, dropped or chosen, or a text; checked before it is written.

import { ApiError, sendCsv } from "./api.js";
import { alertLine, button, el, failure, setText, toast } from "./dom.js";
import { makeSelect } from "./forms.js";
import { language, t } from "./i18n.js";
import { mistakeInJapanese } from "./roster-mistake-texts.js";
import { previewOf } from "./roster-preview.js";

/** @import { EnrolmentReport } from "./types.d.ts" */

const TYPES = ".csv,.tsv,.txt,text/csv,text/tab-separated-values,text/plain";
const ENCODINGS = ["utf-8", "utf-16", "cp932", "euc-jp", "iso-2022-jp"];

export class RosterUpload {
  element = el("form", { className: "card upload" });
  #path;
  #enrolled;
  #file = el("input", { type: "file", accept: TYPES });
  #text = el("textarea", { rows: 5 });
  #trouble = alertLine();
  #mistakes = el("ul");
  #preview = el("section", { tabIndex: -1, ariaLabel: t("enrol_preview"), hidden: true });
  #encoding = makeSelect([["", t("automatic")], ...ENCODINGS.map(nameOfEncoding)]);
  #column = makeSelect([["", t("automatic")]]);
  #alikes = makeSelect([
    ["new", t("look_alikes_new")],
    ["known", t("look_alikes_known")],
  ]);
  /** @type {string | Blob | null} */
  #list = null;
  #otherwise = el("details");
  #checks = 0; // only the answer to the latest is shown

  /**
   * @param {number} classId
   * @param {() => Promise<void>} enrolled
   */
  constructor(classId, enrolled) {
    this.#path = `classes/${classId}/roster`;
    this.#enrolled = enrolled;
    this.element.append(
      el("h3", { textContent: t("enrol") }),
      el("p", { className: "hint", textContent: t("enrol_drop") }),
      el("label", {}, t("enrol_file"), this.#file),
      el("label", {}, t("enrol_paste"), this.#text),
      el("button", { type: "submit", textContent: t("enrol_check") }),
      this.#otherwise,
      this.#trouble,
      this.#mistakes,
      this.#preview,
    );
    this.#otherwise.append(
      el("summary", { textContent: t("read_otherwise") }),
      el("label", {}, t("encoding"), this.#encoding),
      el("label", {}, t("id_column"), this.#column),
    );
    this.element.onsubmit = (event) => {
      event.preventDefault();
      this.#take();
    };
    this.#file.onchange = () => this.#take();
    this.#text.oninput = () => {
      this.#file.value = "";
      this.#clear();
    };
    for (const select of [this.#encoding, this.#column, this.#alikes])
      select.onchange = () => this.#check();
    this.#acceptDrops();
  }

  #acceptDrops() {
    const { element } = this;
    element.ondragover = (event) => {
      event.preventDefault();
      element.classList.add("is-target");
    };
    element.ondragleave = (event) => {
      const { relatedTarget: to } = event;
      if (!(to instanceof Node && element.contains(to))) element.classList.remove("is-target");
    };
    element.ondrop = (event) => {
      event.preventDefault();
      element.classList.remove("is-target");
      const { files } = event.dataTransfer ?? {};
      const text = event.dataTransfer?.getData("text/plain");
      if (files?.length) this.#file.files = files;
      else if (text) {
        this.#file.value = "";
        this.#text.value = text;
      }
      this.#take();
    };
  }

  // Takes the list as it stands in the form; how the one before was read doesn't count for it.
  #take() {
    const [file] = this.#file.files ?? [];
    this.#list = file ?? this.#text.value;
    this.#column.replaceChildren(el("option", { value: "", textContent: t("automatic") }));
    this.#alikes.value = "new";
    if (file || this.#text.value.trim()) this.#check();
    else {
      this.#clear();
      setText(this.#trouble, t("enrol_nothing"));
    }
  }

  #empty() {
    this.#text.value = this.#file.value = "";
    this.#clear();
    this.#file.focus();
  }

  #clear() {
    this.#checks += 1;
    this.#list = null;
    setText(this.#trouble, "");
    this.#mistakes.replaceChildren();
    this.#preview.hidden = true;
    this.#preview.replaceChildren();
  }

  /** @param {boolean} isTrial */
  #query(isTrial) {
    const query = new URLSearchParams({ look_alikes: this.#alikes.value });
    if (isTrial) query.set("dry_run", "true");
    if (this.#encoding.value) query.set("encoding", this.#encoding.value);
    if (this.#column.value) query.set("id_column", this.#column.value);
    return `${this.#path}?${query}`;
  }

  async #check() {
    const list = this.#list;
    if (list === null) return;
    this.#clear();
    this.#list = list;
    const check = this.#checks;
    setText(this.#trouble, "");
    try {
      /** @type {EnrolmentReport} */
      const report = await sendCsv(this.#query(true), list);
      if (check === this.#checks) this.#show(report);
    } catch (error) {
      if (check === this.#checks) this.#fail(error);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    const isOfList = error instanceof ApiError && error.status === 422;
    this.#otherwise.open = isOfList;
    setText(this.#trouble, isOfList ? t("enrol_fix") : failure(error));
    const messages = isOfList ? error.messages : [];
    const texts = language === "ja" ? messages.map(mistakeInJapanese) : messages;
    this.#mistakes.replaceChildren(...texts.map((textContent) => el("li", { textContent })));
    this.#trouble.scrollIntoView({ block: "center" });
  }

  /** @param {EnrolmentReport} report */
  #show(report) {
    const { counts, file } = report;
    this.#offerColumns(file.columns.map(({ number, heading }) => [number, heading]));
    const isKnown = this.#alikes.value === "known";
    const hasAlikes = counts.look_alikes > 0 || isKnown;
    const number = counts.new + counts.changed;
    const enrol = button(t("enrol_now", number), () => this.#enrol(enrol, number));
    const cancel = button(t("cancel"), () => {
      this.#clear();
      this.#file.focus();
    });
    this.#preview.replaceChildren(
      el("h4", { textContent: t("enrol_preview") }),
      ...previewOf(report).filter((each) => each !== null),
      hasAlikes ? this.#alikeChoice(counts.look_alikes) : "",
      el("p", {
        className: "hint",
        textContent: number ? t("enrol_unwritten") : t("enrol_no_change"),
      }),
      el("p", { className: "line" }, number ? enrol : "", cancel),
    );
    this.#preview.hidden = false;
    this.#preview.focus();
  }

  /** @param {number} number of look-alikes */
  #alikeChoice(number) {
    return el(
      "div",
      {},
      number ? el("p", { className: "stuck", textContent: t("look_alikes", number) }) : null,
      el("label", {}, t("look_alikes_are"), this.#alikes),
    );
  }

  /** @param {[number, string | null][]} columns */
  #offerColumns(columns) {
    const chosen = this.#column.value;
    this.#column.replaceChildren(
      el("option", { value: "", textContent: t("automatic") }),
      ...columns.map(([value, heading]) =>
        el("option", { value, textContent: heading ?? t("column_n", value) }),
      ),
    );
    this.#column.value = chosen;
  }

  /**
   * @param {HTMLButtonElement} enrol
   * @param {number} number of people
   */
  async #enrol(enrol, number) {
    const list = this.#list;
    if (list === null) return;
    enrol.disabled = true;
    try {
      await sendCsv(this.#query(false), list);
      toast(t("enrolled", number));
      if (this.#list === list) this.#empty(); // otherwise the next list is there already
      await this.#enrolled();
    } catch (error) {
      enrol.disabled = false;
      this.#fail(error);
    }
  }
}

/**
 * @param {string} encoding
 * @returns {[string, string]}
 */
function nameOfEncoding(encoding) {
  return [encoding, encoding === "cp932" ? "Shift_JIS (CP932)" : encoding.toUpperCase()];
}
