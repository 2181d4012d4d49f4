// A student's submission, and its grade.

import { all, call, send } from "./api.js";
import { el, failure, joinFacts, toast } from "./dom.js";
import { makeForm } from "./forms.js";
import { formatTime, t } from "./i18n.js";
import { notebookViewer } from "./notebook-viewer.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Assignment, Irregularity, Submission, SubmissionWithContent } from "./types.d.ts" */

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {AbortSignal} signal
 * @param {string} id
 */
export function submissionView(root, store, signal, id) {
  const load = async () => {
    try {
      const answers = await fetchSubmission(id);
      if (!signal.aborted) show(root, store, answers);
    } catch (error) {
      toast(failure(error));
    }
  };
  load();
}

/**
 * @typedef {object} Answers
 * @property {SubmissionWithContent} submission
 * @property {Assignment} assignment
 * @property {Submission[]} submissions all of the assignment
 * @property {(string | null)[]} markdown
 */

/**
 * @param {string} id
 * @returns {Promise<Answers>}
 */
async function fetchSubmission(id) {
  /** @type {SubmissionWithContent} */
  const submission = await call(`submissions/${id}`);
  const { assignment_id: assignmentId } = submission;
  /** @type {[Assignment, Submission[], (string | null)[]]} */
  const [assignment, submissions, markdown] = await Promise.all([
    call(`assignments/${assignmentId}`),
    submissionsTo(assignmentId),
    call(`submissions/${id}/markdown`),
  ]);
  return { submission, assignment, submissions, markdown };
}

/**
 * @param {number} assignmentId
 * @returns {Promise<Submission[]>}
 */
function submissionsTo(assignmentId) {
  return all(`submissions?assignment_id=${assignmentId}`);
}

/**
 * @param {HTMLElement} root
 * @param {ClassStore} store
 * @param {Answers} answers
 */
function show(root, store, { submission, assignment, submissions, markdown }) {
  const facts = joinFacts([
    assignment.title,
    t("attempt", submission.attempt),
    formatTime(submission.submitted_at),
    submission.late && t("late"),
  ]);
  const back = { href: `#/class/${store.id}/manage`, textContent: `← ${t("manage")}` };
  const next = el("div", {}, nextUngraded(store, submissions, submission.id));
  const saved = async () => {
    const now = await submissionsTo(assignment.id);
    next.replaceChildren(nextUngraded(store, now, submission.id));
  };
  root.replaceChildren(
    el("p", {}, el("a", back)),
    el("h2", { textContent: store.nameOf(submission.user_id) }),
    el("p", { textContent: facts }),
    el(
      "div",
      { className: "columns" },
      el(
        "div",
        {},
        irregularityList(submission.irregularities ?? []),
        notebookViewer(submission.notebook_content, markdown),
      ),
      el(
        "section",
        {},
        gradingForm(assignment, submission, saved),
        next,
      ),
    ),
  );
}

/** @param {Irregularity[]} irregularities */
function irregularityList(irregularities) {
  if (irregularities.length === 0) return null;
  const items = irregularities.map(({ cell, finding }) =>
    el("li", {}, joinFacts([cell !== null && t("nth_cell", cell + 1), finding])),
  );
  return el(
    "details",
    { className: "irregularities hint" },
    el("summary", { textContent: t("irregular", items.length) }),
    el("p", { textContent: t("irregular_hint") }),
    el("ul", {}, items),
  );
}

/**
 * @param {Assignment} assignment
 * @param {Submission} submission
 * @param {() => Promise<void>} saved what is typed meanwhile stays
 */
function gradingForm(assignment, submission, saved) {
  const label = assignment.points === null ? t("grade") : t("grade_of", assignment.points);
  const grade = { type: "number", step: "any", value: submission.grade ?? "" };
  const feedback = { rows: 4, value: submission.feedback ?? "" };
  return makeForm({
    heading: t("grading"),
    level: "h2", // below whatever headings the notebook has
    fields: [
      { name: "grade", label, properties: grade },
      { name: "feedback", label: t("feedback"), tag: "textarea", properties: feedback },
    ],
    button: t("save"),
    submit: async (values) => {
      await send("PUT", `submissions/${submission.id}`, {
        grade: values.grade === "" ? null : Number(values.grade),
        feedback: values.feedback || null,
      });
      toast(t("saved"));
      await saved();
    },
  });
}

// The next one without a grade, after this one and then from the start.
/**
 * @param {ClassStore} store
 * @param {Submission[]} submissions
 * @param {number} id
 */
function nextUngraded(store, submissions, id) {
  const open = submissions.filter((each) => each.grade === null && each.id !== id);
  const next = open.find((each) => each.id > id) ?? open[0];
  if (!next) return el("p", { className: "hint", textContent: t("all_graded") });
  const textContent = t("next_ungraded", store.nameOf(next.user_id), open.length);
  const href = `#/class/${store.id}/submission/${next.id}`;
  return el("p", {}, el("a", { href, textContent }));
}
