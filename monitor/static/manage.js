// Classes and assignments: make, change, enrol, hand out; what was handed in.

import { all, call, send } from "./api.js";
import { el, toast } from "./dom.js";
import { form } from "./forms.js";
import { t, when } from "./texts.js";

export function classForm() {
  const fields = [
    ["class_code", t("class_code"), { required: true }],
    ["name", t("name"), { required: true }],
  ];
  return form(t("new_class"), fields, t("create"), async (body) => {
    const made = await send("POST", "classes", body);
    dispatchEvent(new Event("classes"));
    location.hash = `#/class/${made.id}/manage`;
  });
}

export function manageView(root, store) {
  const forms = el("section");
  const list = el("section", { className: "assignments" });
  root.append(el("div", { className: "columns" }, list, forms));
  const load = async () => {
    try {
      const [known, roster, assignments] = await Promise.all([
        call(`classes/${store.id}`),
        all(`classes/${store.id}/students`),
        all(`assignments?class_id=${store.id}`),
      ]);
      const handed = await Promise.all(
        assignments.map((each) => all(`submissions?assignment_id=${each.id}`)),
      );
      list.replaceChildren(
        el("h2", { textContent: t("assignments") }),
        ...(assignments.length ? [] : [el("p", { className: "hint", textContent: t("nothing") })]),
        ...assignments.map((each, place) => card(store, each, handed[place])),
      );
      forms.replaceChildren(
        handOut(store, load),
        enrol(store, load),
        ...pending(roster),
        rename(store, known),
        classForm(),
      );
    } catch (error) {
      toast(t("failed", error.message));
    }
  };
  load();
  return () => {};
}

function card(store, assignment, submissions) {
  const facts = [
    assignment.due_date ? `${t("due")}: ${when(assignment.due_date)}` : null,
    assignment.points === null ? null : `${t("points")}: ${assignment.points}`,
    t("students_submitted", submissions.length),
  ];
  const item = (submission) => {
    const told = [
      store.students.get(submission.user_id)?.name ?? submission.user_id,
      t("attempt", submission.attempt),
      when(submission.submitted_at),
      submission.late ? t("late") : null,
      submission.grade === null ? null : `${t("grade")} ${submission.grade}`,
    ];
    return el(
      "li",
      {},
      el("a", {
        href: `#/class/${store.id}/submission/${submission.id}`,
        textContent: told.filter(Boolean).join(" · "),
      }),
    );
  };
  return el(
    "article",
    { className: "card" },
    el(
      "h3",
      {},
      el("a", {
        href: `#/class/${store.id}/notebooks/${assignment.notebook_id}`,
        textContent: assignment.title,
      }),
    ),
    el("p", { textContent: facts.filter(Boolean).join(" · ") }),
    el("ul", { className: "plain" }, ...submissions.map(item)),
  );
}

function handOut(store, done) {
  const fields = [
    ["title", t("heading"), { required: true }],
    ["path", t("path"), { required: true }],
    ["due_date", t("due"), { type: "datetime-local" }],
    ["points", t("points"), { type: "number", step: "any" }],
  ];
  return form(
    t("hand_out"),
    fields,
    t("hand_out"),
    async ({ title, path, due_date: due, points }) => {
      const [known] = await call(`notebooks?path=${encodeURIComponent(path)}`);
      const notebook = known ?? (await send("POST", "notebooks", { path }));
      await send("POST", "assignments", {
        class_id: store.id,
        notebook_id: notebook.id,
        title,
        due_date: due ? new Date(due).toISOString() : null,
        points: points ? Number(points) : null,
      });
      await done();
    },
  );
}

function enrol(store, done) {
  const fields = [["rows", t("enrol_hint"), { tag: "textarea", rows: 5, required: true }]];
  return form(t("enrol"), fields, t("enrol"), async ({ rows }) => {
    const headed = /^[^\n]*(user_id|学籍番号)/i.test(rows)
      ? rows
      : `user_id,name,email,team,role\n${rows}`;
    const enrolled = await send("POST", `classes/${store.id}/roster`, headed, "text/csv");
    toast(t("enrolled", enrolled.length));
    store.reload();
    await done();
  });
}

function pending(roster) {
  const who = roster.filter((each) => each.role === "pending").map((each) => each.user_id);
  if (!who.length) return [];
  return [el("p", { className: "hint", textContent: t("pending", who.join(", ")) })];
}

function rename(store, known) {
  const fields = [["name", t("name"), { required: true, value: known.name }]];
  return form(t("class"), fields, t("rename"), async ({ name }) => {
    await send("PUT", `classes/${store.id}`, { name });
    toast(t("saved"));
    dispatchEvent(new Event("classes"));
  });
}
