// A class: create, change, copy, archive, delete.

import { call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { button, el, toast } from "./dom.js";
import { makeForm } from "./forms.js";
import { t } from "./i18n.js";
import { openInvite } from "./invite.js";

/** @import { Field, Values } from "./forms.js" */
/** @import { Class, JoinPolicy } from "./types.d.ts" */

/** @type {JoinPolicy[]} */
const POLICIES = ["open", "approve", "roster"];
const MAX_NEW_NAMES = 100_000; // a day
const NUMBERS = ["max_new_names", "stuck_errors", "stuck_minutes"];

/** The window's event that asks for the list of classes to be fetched again. */
export const CLASSES_CHANGED = "classes-changed";

export function newClassForm() {
  const [name, code, description] = fieldsOf();
  const optional = { placeholder: t("code_hint") };
  return makeForm({
    heading: t("new_class"),
    fields: [name, { ...code, properties: optional }, description],
    button: t("create"),
    submit: (values) => create({ ...bodyOf(values), class_code: values.class_code || newCode() }),
  });
}

/** A class by its name alone. */
export function firstClassForm() {
  const [name] = fieldsOf();
  return makeForm({
    fields: [name],
    button: t("create"),
    submit: (values) => create({ ...values, class_code: newCode() }),
  });
}

/** @param {Record<string, unknown>} body */
async function create(body) {
  /** @type {Class} */
  const created = await send("POST", "classes", body);
  dispatchEvent(new Event(CLASSES_CHANGED));
  location.hash = `#/class/${created.id}`;
  await openInvite(created.id);
}

function newCode() {
  const letters = crypto.getRandomValues(new Uint8Array(4));
  return `class-${Array.from(letters, (each) => each.toString(16).padStart(2, "0")).join("")}`;
}

/** @param {Class} current */
export function classForm(current) {
  const active = { type: "checkbox", checked: current.is_active };
  const form = makeForm({
    heading: t("class"),
    fields: [
      ...fieldsOf(current),
      ...joiningFields(current),
      ...stuckFields(current),
      { name: "is_active", label: t("is_active"), properties: active },
    ],
    button: t("save"),
    submit: async ({ is_active: isActive, ...values }) => {
      const numbers = Object.fromEntries(NUMBERS.map((name) => [name, Number(values[name])]));
      const body = { ...bodyOf(values), ...numbers, is_active: Boolean(isActive) };
      await send("PUT", `classes/${current.id}`, body);
      toast(t("saved"));
      dispatchEvent(new Event(CLASSES_CHANGED));
    },
  });
  form.append(" ", current.is_demo ? removeDemoButton(current) : deleteButton(current));
  return form;
}

/** @param {Class} current */
export function copyForm(current) {
  const [name, code] = fieldsOf({ name: current.name });
  const optional = { placeholder: t("code_hint") };
  const form = makeForm({
    heading: t("copy_class"),
    fields: [name, { ...code, properties: optional }],
    button: t("make_copy"),
    submit: async (values) => {
      const body = { name: values.name, class_code: values.class_code || newCode() };
      /** @type {Class} */
      const created = await send("POST", `classes/${current.id}/copy`, body);
      dispatchEvent(new Event(CLASSES_CHANGED));
      location.hash = `#/class/${created.id}/manage`;
    },
  });
  form.append(el("p", { className: "hint", textContent: t("copy_class_hint") }));
  return form;
}

/** @param {Class} current */
function removeDemoButton(current) {
  const remove = button(t("remove_demo"), () =>
    askBefore({
      question: t("remove_demo_sure"),
      confirm: t("remove_demo"),
      task: async () => {
        /** @type {{ class_removed: boolean }} */
        const { class_removed: isGone } = await call(`demos/${current.id}`, { method: "DELETE" });
        toast(t(isGone ? "demo_removed" : "demo_class_stays"));
        dispatchEvent(new Event(CLASSES_CHANGED));
        if (isGone) location.hash = "#/";
      },
    }),
  );
  remove.className = "danger";
  return remove;
}

/** @param {Class} current */
function deleteButton(current) {
  const remove = button(t("delete_class"), () =>
    askBefore({
      question: t("delete_class_sure", current.name),
      confirm: t("delete"),
      task: async () => {
        await call(`classes/${current.id}`, { method: "DELETE" });
        toast(t("deleted", current.name));
        location.hash = "#/";
      },
      conflict: t("class_cannot_be_deleted"),
    }),
  );
  remove.className = "danger";
  return remove;
}

/**
 * @param {Partial<Class>} current
 * @returns {Field[]}
 */
function fieldsOf(current = {}) {
  const code = { required: true, value: current.class_code ?? "" };
  const name = { required: true, value: current.name ?? "" };
  const description = { value: current.description ?? "" };
  return [
    { name: "name", label: t("class_name"), properties: name },
    { name: "class_code", label: t("class_code"), properties: code },
    { name: "description", label: t("description"), tag: "textarea", properties: description },
  ];
}

/**
 * Who joins by the class's key.
 *
 * @param {Class} current
 * @returns {Field[]}
 */
function joiningFields(current) {
  return [
    {
      name: "join_policy",
      label: t("join_policy"),
      options: POLICIES.map((policy) => [policy, t(`policy_${policy}`)]),
      properties: { value: current.join_policy },
    },
    numberField("max_new_names", current.max_new_names, 0, MAX_NEW_NAMES),
  ];
}

/**
 * When a student is stuck.
 *
 * @param {Class} current
 * @returns {Field[]}
 */
function stuckFields({ stuck_errors: errors, stuck_minutes: minutes }) {
  return [
    numberField("stuck_errors", errors, 2, 100),
    numberField("stuck_minutes", minutes, 1, 120),
  ];
}

/**
 * @param {"max_new_names" | "stuck_errors" | "stuck_minutes"} name
 * @param {number} value
 * @param {number} min
 * @param {number} max
 * @returns {Field}
 */
function numberField(name, value, min, max) {
  const properties = { type: "number", min, max, required: true, value };
  return { name, label: t(name), properties };
}

/** @param {Values} values */
function bodyOf(values) {
  return { ...values, description: values.description || null };
}
