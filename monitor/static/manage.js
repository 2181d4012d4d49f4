// A class and its assignments: make, change, hand out, delete; what was handed in.

import { all, call, send } from "./api.js";
import { classForm, newClassForm } from "./classes.js";
import { askBefore } from "./dialog.js";
import { el, toast } from "./dom.js";
import { form, localTime } from "./forms.js";
import { rosterView } from "./roster.js";
import { t, when } from "./texts.js";

export function manageView(root, store) {
  const list = el("section", { className: "assignments" });
  const forms = el("section");
  const roster = rosterView(store);
  root.append(
    el("div", { className: "columns" }, el("div", {}, list, roster.element), forms),
  );
  const load = async () => {
    const assignments = await all(`assignments?class_id=${store.id}`);
    const handed = await Promise.all(
      assignments.map((each) => all(`submissions?assignment_id=${each.id}`)),
    );
    const refresh = el("button", { type: "button", textContent: t("refresh"), onclick: load });
    list.replaceChildren(
      el("div", { className: "line" }, el("h2", { textContent: t("assignments") }), refresh),
      assignments.length ? "" : el("p", { className: "hint", textContent: t("no_assignments") }),
      ...assignments.map((each, place) => card(store, each, handed[place], load)),
    );
  };
  const start = async () => {
    try {
      const [known] = await Promise.all([call(`classes/${store.id}`), load(), roster.load()]);
      forms.replaceChildren(handOut(store, load), classForm(known), newClassForm());
    } catch (error) {
      toast(t("failed", error.message));
    }
  };
  start();
  return () => {};
}

function card(store, assignment, submissions, changed) {
  const graded = submissions.filter((each) => each.grade !== null).length;
  const facts = [
    assignment.due_date ? `${t("due")}: ${when(assignment.due_date)}` : null,
    assignment.points === null ? null : `${t("points")}: ${assignment.points}`,
    t("students_submitted", submissions.length, graded),
  ];
  const title = el("a", {
    href: `#/class/${store.id}/notebooks/${assignment.notebook_id}`,
    textContent: assignment.title,
  });
  return el(
    "article",
    { className: "card" },
    el("h3", {}, title),
    assignment.description ? el("p", { textContent: assignment.description }) : null,
    el("p", { className: "place", textContent: facts.filter(Boolean).join(" · ") }),
    submissions.length ? handedIn(store, submissions) : null,
    change(assignment, changed),
  );
}

function handedIn(store, submissions) {
  const item = (submission) => {
    const told = [
      store.students.get(submission.user_id)?.name ?? submission.user_id,
      t("attempt", submission.attempt),
      when(submission.submitted_at),
      submission.late ? t("late") : null,
      submission.grade === null ? t("ungraded") : `${t("grade")} ${submission.grade}`,
    ];
    const href = `#/class/${store.id}/submission/${submission.id}`;
    return el("li", {}, el("a", { href, textContent: told.filter(Boolean).join(" · ") }));
  };
  return el("ul", { className: "plain" }, submissions.map(item));
}

function change(assignment, changed) {
  const shown = form("", fields(assignment), t("save"), async (values) => {
    await send("PUT", `assignments/${assignment.id}`, body(values));
    toast(t("saved"));
    await changed();
  });
  const remove = el("button", {
    type: "button",
    className: "danger",
    textContent: t("delete_assignment"),
    onclick: () =>
      askBefore(
        t("delete_assignment_sure", assignment.title),
        t("delete"),
        async () => {
          await call(`assignments/${assignment.id}`, { method: "DELETE" });
          toast(t("deleted", assignment.title));
          await changed();
        },
        t("assignment_has_submissions"),
      ),
  });
  shown.className = "";
  shown.lastChild.after(" ", remove);
  const named = { textContent: t("change"), ariaLabel: `${t("change")}: ${assignment.title}` };
  return el("details", {}, el("summary", named), shown);
}

function handOut(store, done) {
  const where = ["path", t("path"), { required: true, placeholder: "lesson.ipynb" }];
  return form(t("hand_out"), [where, ...fields()], t("hand_out"), async ({ path, ...values }) => {
    const [known] = await call(`notebooks?path=${encodeURIComponent(path)}`);
    const notebook = known ?? (await send("POST", "notebooks", { path }));
    const place = { class_id: store.id, notebook_id: notebook.id };
    await send("POST", "assignments", { ...place, ...body(values) });
    toast(t("handed_out", values.title));
    await done();
  });
}

function fields(known = {}) {
  return [
    ["title", t("heading"), { required: true, value: known.title ?? "" }],
    ["description", t("description"), { tag: "textarea", value: known.description ?? "" }],
    ["due_date", t("due"), { type: "datetime-local", value: localTime(known.due_date) }],
    ["points", t("points"), { type: "number", step: "any", value: known.points ?? "" }],
  ];
}

function body({ title, description, due_date: due, points }) {
  return {
    title,
    description: description || null,
    due_date: due ? new Date(due).toISOString() : null,
    points: points ? Number(points) : null,
  };
}
