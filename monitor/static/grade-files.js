// Grades as a file for other systems.

import { download } from "./api.js";
import { button, el, failure, toast } from "./dom.js";
import { makeSelect } from "./forms.js";
import { t } from "./i18n.js";

/** @type {[string, string][]} */
const FORMATS = [
  ["csv", t("grades_csv")],
  ["moodle", "Moodle"],
  ["canvas", "Canvas"],
  ["nbgrader", "nbgrader"],
];

/**
 * A choice of the system, and a button that downloads the file.
 *
 * @param {string} path of the grades
 * @param {string} [title] of the assignment; without one they are those of the class
 */
export function gradeFiles(path, title) {
  const text = t(title === undefined ? "grades_of_class" : "grades_as");
  const of = title ?? text;
  const format = makeSelect(FORMATS);
  const start = button(t("download"), async () => {
    try {
      await download(`${path}?format=${format.value}`);
    } catch (error) {
      toast(failure(error));
    }
  });
  start.ariaLabel = `${t("download")}: ${of}`;
  return el(
    "details",
    {},
    el("summary", { textContent: text, ariaLabel: title ? `${text}: ${title}` : text }),
    el("p", { className: "line" }, el("label", {}, `${t("grades_for")} `, format), start),
  );
}
