// What a student handed in, and its grade.

import { all, call, send } from "./api.js";
import { el, toast } from "./dom.js";
import { form } from "./forms.js";
import { notebook } from "./handed.js";
import { t, when } from "./texts.js";

export function submissionView(root, store, id) {
  const load = async () => {
    try {
      const submission = await call(`submissions/${id}`);
      const { assignment_id: assignmentId } = submission;
      const [assignment, handed, markdown] = await Promise.all([
        call(`assignments/${assignmentId}`),
        all(`submissions?assignment_id=${assignmentId}`),
        call(`submissions/${id}/markdown`),
      ]);
      root.replaceChildren(
        el("p", {}, el("a", { href: `#/class/${store.id}/manage`, textContent: `← ${t("manage")}` })),
        el("h2", { textContent: store.byId(submission.student_id)?.name ?? submission.user_id }),
        el("p", { textContent: facts(assignment, submission).join(" · ") }),
        el(
          "div",
          { className: "columns" },
          notebook(submission.notebook_content, markdown),
          el("aside", {}, grading(assignment, submission, load), next(store, handed, submission)),
        ),
      );
    } catch (error) {
      toast(t("failed", error.message));
    }
  };
  load();
  return () => {};
}

function facts(assignment, submission) {
  return [
    assignment.title,
    t("attempt", submission.attempt),
    when(submission.submitted_at),
    submission.late ? t("late") : null,
  ].filter(Boolean);
}

function grading(assignment, submission, done) {
  const label = assignment.points === null ? t("grade") : t("grade_of", assignment.points);
  const fields = [
    ["grade", label, { type: "number", step: "any", value: submission.grade ?? "" }],
    ["feedback", t("feedback"), { tag: "textarea", rows: 4, value: submission.feedback ?? "" }],
  ];
  return form(t("grading"), fields, t("save"), async ({ grade, feedback }) => {
    await send("PUT", `submissions/${submission.id}`, {
      grade: grade === "" ? null : Number(grade),
      feedback: feedback || null,
    });
    toast(t("saved"));
    await done();
  });
}

// The next one without a grade, from this one on and then from the start.
function next(store, handed, { id }) {
  const open = handed.filter((each) => each.grade === null && each.id !== id);
  const following = open.find((each) => each.id > id) ?? open[0];
  if (!following) return el("p", { className: "hint", textContent: t("all_graded") });
  const name = store.students.get(following.user_id)?.name ?? following.user_id;
  const href = `#/class/${store.id}/submission/${following.id}`;
  return el("p", {}, el("a", { href, textContent: t("next_ungraded", name, open.length) }));
}
