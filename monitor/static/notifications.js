// Where a class's notifications go, and when.

import { all, call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { button, el, failure, toast } from "./dom.js";
import { makeForm } from "./forms.js";
import { formatTime, language, t } from "./i18n.js";

/** @import { TextName } from "./i18n.js" */
/** @import { Values } from "./forms.js" */
/** @import { ClassStore } from "./store.js" */
/** @import { NotificationKind, NotificationReceiver, NotificationRules } from "./types.d.ts" */

/** @type {NotificationKind[]} */
const KINDS = ["help", "class_error", "quota", "key_abuse"];
/** @type {Set<NotificationKind>} */
const USUAL = new Set(["help", "class_error"]);
const HEADINGS = /** @type {TextName[]} */ ([
  "receiver",
  "receiver_service",
  "receiver_kinds",
  "receiver_state",
]);

export class Notifications {
  element = el("section");
  #list = el("div");
  #classId;
  /** @type {NotificationReceiver[]} */
  #receivers = [];
  /** @type {NotificationRules | undefined} */
  #rules;

  /** @param {ClassStore} store */
  constructor(store) {
    this.#classId = store.id;
  }

  async load() {
    /** @type {[NotificationReceiver[], NotificationRules]} */
    const [receivers, rules] = await Promise.all([
      this.#fetchReceivers(),
      call(this.#rulesPath),
    ]);
    this.#receivers = receivers;
    this.#rules = receivers.length ? rules : { ...rules, ...ownRules(rules) };
    this.#showList();
    this.element.replaceChildren(
      el("h2", { textContent: t("notifications") }),
      el("p", { className: "hint", textContent: t("notifications_rule") }),
      this.#list,
      this.#receiverForm(),
      receivers.length ? this.#rulesForm(this.#rules) : "",
    );
  }

  #showList() {
    this.#list.replaceChildren(this.#receivers.length ? this.#table() : "");
  }

  get #rulesPath() {
    return `classes/${this.#classId}/notification-rules`;
  }

  #table() {
    const cells = HEADINGS.map((name) => el("th", { scope: "col", textContent: t(name) }));
    return el(
      "div",
      { className: "scroll card", tabIndex: 0, role: "region", ariaLabel: t("notifications") },
      el(
        "table",
        { className: "people tokens" },
        el("thead", {}, el("tr", {}, cells, el("td"))),
        el("tbody", {}, this.#receivers.map((each) => this.#row(each))),
      ),
    );
  }

  /** @returns {Promise<NotificationReceiver[]>} */
  #fetchReceivers() {
    return all(`notification-receivers?class_id=${this.#classId}`);
  }

  /** @param {NotificationReceiver} receiver */
  #row(receiver) {
    const { id, name, service, kinds } = receiver;
    const test = button(t("receiver_test"), async () => {
      test.disabled = true;
      await this.#test(receiver);
      test.disabled = false;
    });
    test.ariaLabel = t("receiver_test_who", name);
    const remove = button(t("receiver_delete"), () =>
      askBefore({
        question: t("receiver_delete_sure", name),
        confirm: t("receiver_delete"),
        task: async () => {
          await call(`notification-receivers/${id}`, { method: "DELETE" });
          await this.load();
        },
      }),
    );
    remove.ariaLabel = t("receiver_delete_who", name);
    const what = kinds.map((kind) => t(`notify_${kind}`)).join(" · ");
    return el(
      "tr",
      {},
      el("th", { scope: "row", textContent: name }),
      [service, what, stateOf(receiver)].map((textContent) => el("td", { textContent })),
      el("td", {}, el("div", { className: "line" }, test, remove)),
    );
  }

  /** @param {NotificationReceiver} receiver */
  async #test({ id, name }) {
    try {
      const { problem } = await call(`notification-receivers/${id}/test`, { method: "POST" });
      toast(
        problem
          ? t("receiver_not_tested", name, problemText(problem))
          : t("receiver_tested", name),
      );
      this.#receivers = await this.#fetchReceivers(); // the forms stay: somebody may be typing
      this.#showList();
    } catch (error) {
      toast(failure(error));
    }
  }

  #receiverForm() {
    return makeForm({
      heading: t("receiver_new"),
      fields: [
        {
          name: "name",
          label: t("receiver_name"),
          properties: { required: true, maxLength: 100 },
        },
        {
          name: "url",
          label: t("receiver_url"), // others may see the screen
          properties: { required: true, type: "password", autocomplete: "new-password" },
        },
        ...KINDS.map((kind) => ({
          name: kind,
          label: t(`notify_${kind}`),
          properties: { type: "checkbox", checked: USUAL.has(kind) },
        })),
      ],
      button: t("receiver_add"),
      submit: async (values) => {
        const { name, url } = values;
        const kinds = KINDS.filter((kind) => values[kind]);
        const body = { class_id: this.#classId, name, url, kinds };
        await send("POST", "notification-receivers", body);
        if (!this.#receivers.length) await send("PUT", this.#rulesPath, this.#rules);
        await this.load();
      },
    });
  }

  /** @param {NotificationRules} rules */
  #rulesForm(rules) {
    const number = { type: "number", required: true, min: 1 };
    return makeForm({
      heading: t("notify_rules"),
      fields: [
        {
          name: "language",
          label: t("notify_language"),
          options: [
            ["ja", "日本語"],
            ["en", "English"],
          ],
          properties: { value: rules.language },
        },
        {
          name: "help_minutes",
          label: t("notify_minutes"),
          properties: { ...number, max: 120, value: rules.help_minutes },
        },
        {
          name: "error_percent",
          label: t("notify_percent"),
          properties: { ...number, max: 100, value: rules.error_percent },
        },
        {
          name: "quiet_from",
          label: t("notify_quiet_from"),
          properties: { type: "time", value: rules.quiet_from ?? "" },
        },
        {
          name: "quiet_until",
          label: t("notify_quiet_until"),
          properties: { type: "time", value: rules.quiet_until ?? "" },
        },
        {
          name: "time_zone",
          label: t("notify_zone"),
          properties: { required: true, value: rules.time_zone },
        },
      ],
      button: t("notify_save"),
      submit: async (values) => {
        await send("PUT", this.#rulesPath, rulesOf(values));
        toast(t("notify_saved"));
        await this.load();
      },
    });
  }
}

/**
 * What a class begins with: the language and the time zone of this page.
 *
 * @param {NotificationRules} rules
 */
function ownRules({ time_zone: zone }) {
  return {
    language,
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone ?? zone,
  };
}

/** @param {Values} values */
function rulesOf(values) {
  return {
    ...values,
    help_minutes: Number(values["help_minutes"]),
    error_percent: Number(values["error_percent"]),
    quiet_from: values["quiet_from"] || null,
    quiet_until: values["quiet_until"] || null,
  };
}

/** @param {NotificationReceiver} receiver */
function stateOf({ problem, failed_at: failed, delivered_at: delivered }) {
  if (problem && failed) return t("receiver_failed", formatTime(failed, "short"), problemText(problem));
  return delivered ? t("receiver_delivered", formatTime(delivered, "short")) : t("receiver_none_yet");
}

/** @param {string} problem */
function problemText(problem) {
  const [, status] = problem.split("http_");
  if (status) return t("problem_answered", status);
  return t(/** @type {TextName} */ (`problem_${problem}`));
}
