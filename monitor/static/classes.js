// A class: made, changed, put away, deleted.

import { call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { el, toast } from "./dom.js";
import { form } from "./forms.js";
import { t } from "./texts.js";

export function newClassForm() {
  return form(t("new_class"), fields(), t("create"), async (body) => {
    const made = await send("POST", "classes", filled(body));
    dispatchEvent(new Event("classes"));
    location.hash = `#/class/${made.id}/manage`;
  });
}

export function classForm(known) {
  const active = { type: "checkbox", checked: known.is_active };
  const shown = form(
    t("class"),
    [...fields(known), ["is_active", t("is_active"), active]],
    t("save"),
    async (body) => {
      await send("PUT", `classes/${known.id}`, filled(body));
      toast(t("saved"));
      dispatchEvent(new Event("classes"));
    },
  );
  const remove = el("button", {
    type: "button",
    className: "danger",
    textContent: t("delete_class"),
    onclick: () =>
      askBefore(
        t("delete_class_sure", known.name),
        t("delete"),
        async () => {
          await call(`classes/${known.id}`, { method: "DELETE" });
          toast(t("deleted", known.name));
          location.hash = "#/";
        },
        t("class_has_assignments"),
      ),
  });
  shown.lastChild.after(" ", remove);
  return shown;
}

function fields(known = {}) {
  return [
    ["class_code", t("class_code"), { required: true, value: known.class_code ?? "" }],
    ["name", t("name"), { required: true, value: known.name ?? "" }],
    ["description", t("description"), { tag: "textarea", value: known.description ?? "" }],
  ];
}

function filled(body) {
  return { ...body, description: body.description || null };
}
