// What a student handed in, read-only, and its grade.

import { call, send } from "./api.js";
import { el, toast } from "./dom.js";
import { form } from "./forms.js";
import { t, when } from "./texts.js";

export function submissionView(root, store, id) {
  const load = async () => {
    try {
      const submission = await call(`submissions/${id}`);
      const student = store.byId(submission.student_id);
      const told = [
        t("attempt", submission.attempt),
        when(submission.submitted_at),
        submission.late ? t("late") : null,
      ];
      root.replaceChildren(
        el("h2", { textContent: student?.name ?? submission.user_id }),
        el("p", { textContent: told.filter(Boolean).join(" · ") }),
        el(
          "div",
          { className: "columns" },
          notebook(submission.notebook_content),
          grading(submission, load),
        ),
      );
    } catch (error) {
      toast(t("failed", error.message));
    }
  };
  load();
  return () => {};
}

function grading(submission, done) {
  const fields = [
    ["grade", t("grade"), { type: "number", step: "any", value: submission.grade ?? "" }],
    ["feedback", t("feedback"), { tag: "textarea", rows: 4, value: submission.feedback ?? "" }],
  ];
  return form(t("grade"), fields, t("save_grade"), async ({ grade, feedback }) => {
    await send("PUT", `submissions/${submission.id}`, {
      grade: grade === "" ? null : Number(grade),
      feedback: feedback || null,
    });
    toast(t("saved"));
    await done();
  });
}

// Sources and the outputs' plain text: what a student's notebook would draw or run is not done here.
function notebook(content) {
  if (!content) return el("p", { textContent: t("content_none") });
  return el(
    "section",
    { className: "notebook" },
    ...content.cells.map((cell) => {
      const outputs = (cell.outputs ?? []).map(output).filter(Boolean);
      const shown = el(
        "div",
        { className: `cell ${cell.cell_type === "code" ? "code" : "text"}` },
        el("pre", { tabIndex: 0, textContent: joined(cell.source) }),
        ...outputs,
      );
      return shown;
    }),
  );
}

function output(each) {
  if (each.output_type === "error") {
    return el("pre", {
      tabIndex: 0,
      className: "error",
      textContent: `${each.ename}: ${each.evalue}`,
    });
  }
  const image = each.data?.["image/png"];
  if (image)
    return el("img", {
      alt: t("output"),
      src: `data:image/png;base64,${joined(image).replaceAll(/\s/g, "")}`,
    });
  const text = joined(each.text ?? each.data?.["text/plain"]);
  return text ? el("pre", { tabIndex: 0, className: "output", textContent: text }) : null;
}

function joined(text) {
  return Array.isArray(text) ? text.join("") : (text ?? "");
}
