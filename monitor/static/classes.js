// A class: create, change, archive, delete.

import { call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { button, toast } from "./dom.js";
import { makeForm } from "./forms.js";
import { t } from "./i18n.js";

/** @import { Field, Values } from "./forms.js" */
/** @import { Class, JoinPolicy } from "./types.d.ts" */

/** @type {JoinPolicy[]} */
const POLICIES = ["open", "approve", "roster"];
const MAX_NEW_NAMES = 100_000; // a day

/** The window's event that asks for the list of classes to be fetched again. */
export const CLASSES_CHANGED = "classes-changed";

export function newClassForm() {
  return makeForm({
    heading: t("new_class"),
    fields: fieldsOf(),
    button: t("create"),
    submit: async (values) => {
      /** @type {Class} */
      const created = await send("POST", "classes", bodyOf(values));
      dispatchEvent(new Event(CLASSES_CHANGED));
      location.hash = `#/class/${created.id}/manage`;
    },
  });
}

/** @param {Class} current */
export function classForm(current) {
  const active = { type: "checkbox", checked: current.is_active };
  const form = makeForm({
    heading: t("class"),
    fields: [
      ...fieldsOf(current),
      ...joiningFields(current),
      { name: "is_active", label: t("is_active"), properties: active },
    ],
    button: t("save"),
    submit: async ({ is_active: isActive, max_new_names: newNames, ...values }) => {
      const numbers = { is_active: Boolean(isActive), max_new_names: Number(newNames) };
      const body = { ...bodyOf(values), ...numbers };
      await send("PUT", `classes/${current.id}`, body);
      toast(t("saved"));
      dispatchEvent(new Event(CLASSES_CHANGED));
    },
  });
  form.append(" ", deleteButton(current));
  return form;
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
      conflict: t("class_has_assignments"),
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
    { name: "class_code", label: t("class_code"), properties: code },
    { name: "name", label: t("class_name"), properties: name },
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
  const newNames = {
    type: "number",
    min: 0,
    max: MAX_NEW_NAMES,
    required: true,
    value: current.max_new_names,
  };
  return [
    {
      name: "join_policy",
      label: t("join_policy"),
      options: POLICIES.map((policy) => [policy, t(`policy_${policy}`)]),
      properties: { value: current.join_policy },
    },
    { name: "max_new_names", label: t("max_new_names"), properties: newNames },
  ];
}

/** @param {Values} values */
function bodyOf(values) {
  return { ...values, description: values.description || null };
}
