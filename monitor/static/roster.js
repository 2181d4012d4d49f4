// Who is in a class: enrol, change roles, take off.

import { all, call, send } from "./api.js";
import { askBefore } from "./dialog.js";
import { el, toast } from "./dom.js";
import { form } from "./forms.js";
import { t } from "./texts.js";

const ROLES = ["student", "assistant", "teacher"];
const HEADINGS = "user_id,name,email,team,role";

export function rosterView(store) {
  const root = el("section");
  const load = async () => {
    const people = await all(`classes/${store.id}/students`);
    const changed = async () => {
      store.reload();
      await load();
    };
    root.replaceChildren(
      el("h2", { textContent: `${t("roster")} (${people.length})` }),
      people.length ? table(store, people, changed) : hint(t("nothing")),
      pending(people),
      enrol(store, changed),
    );
  };
  return { element: root, load };
}

function hint(textContent) {
  return el("p", { className: "hint", textContent });
}

function pending(people) {
  const who = people.filter((each) => each.role === "pending").map((each) => each.user_id);
  return who.length ? hint(t("pending_hint", who.join(", "))) : "";
}

function table(store, people, changed) {
  const heading = (name) => el("th", { scope: "col", textContent: t(name) });
  return el(
    "div",
    { className: "scroll card", tabIndex: 0, role: "region", ariaLabel: t("roster") },
    el(
      "table",
      { className: "people" },
      el(
        "thead",
        {},
        el("tr", {}, heading("name"), heading("user_id"), heading("team"), heading("role"), el("td")),
      ),
      el("tbody", {}, people.map((person) => row(store, person, changed))),
    ),
  );
}

function row(store, person, changed) {
  const name = person.name ?? person.user_id;
  const roles = person.role === "pending" ? ["pending", ...ROLES] : ROLES;
  const role = el(
    "select",
    { ariaLabel: t("role_of", name) },
    roles.map((each) => el("option", { value: each, textContent: t(each) })),
  );
  role.value = person.role;
  role.onchange = async () => {
    try {
      const { student_id: id } = person;
      await send("POST", `classes/${store.id}/students`, { student_id: id, role: role.value });
    } catch (error) {
      toast(t("failed", error.message));
    }
    await changed();
  };
  const remove = el("button", {
    type: "button",
    textContent: t("remove"),
    ariaLabel: t("remove_who", name),
    onclick: () =>
      askBefore(t("remove_sure", name), t("remove"), async () => {
        await call(`classes/${store.id}/students/${person.student_id}`, { method: "DELETE" });
        await changed();
      }),
  });
  const shown =
    person.role === "student"
      ? el("a", {
          href: `#/class/${store.id}/student/${person.student_id}`,
          textContent: name,
        })
      : name;
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, shown),
    el("td", { textContent: person.user_id }),
    el("td", { textContent: person.team ?? "" }),
    el("td", {}, role),
    el("td", {}, remove),
  );
}

function enrol(store, changed) {
  const fields = [["rows", t("enrol_hint"), { tag: "textarea", rows: 5, required: true }]];
  return form(t("enrol"), fields, t("enrol"), async ({ rows }) => {
    const headed = /^[^\n]*(user_id|学籍番号)/i.test(rows) ? rows : `${HEADINGS}\n${rows}`;
    const enrolled = await send("POST", `classes/${store.id}/roster`, headed, "text/csv");
    toast(t("enrolled", enrolled.length));
    await changed();
  });
}
