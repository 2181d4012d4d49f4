// A notebook that was handed in, to read: nothing in it is run.

import { el } from "./dom.js";
import { t } from "./texts.js";

// `markdown` has the HTML of each Markdown cell, as the server has cleaned it.
export function notebook(content, markdown) {
  if (!content) return el("p", { textContent: t("content_none") });
  return el(
    "section",
    { className: "notebook" },
    content.cells.map((cell, place) =>
      cell.cell_type === "code" ? code(cell) : text(joined(cell.source), markdown[place]),
    ),
  );
}

function code(cell) {
  const count = cell.execution_count ?? " ";
  return el(
    "div",
    { className: "cell code" },
    el("p", { className: "count", textContent: `In [${count}]` }),
    el("pre", { tabIndex: 0, textContent: joined(cell.source) }),
    (cell.outputs ?? []).map(output),
  );
}

function text(source, html) {
  const plain = el("pre", { tabIndex: 0, textContent: source });
  if (html === null || html === undefined) return el("div", { className: "cell text" }, plain);
  const shown = el("div", { className: "markdown" });
  shown.innerHTML = html;
  const written = el("details", {}, el("summary", { textContent: t("source") }), plain);
  return el("div", { className: "cell" }, shown, written);
}

function output(each) {
  if (each.output_type === "error") {
    const told = `${each.ename}: ${each.evalue}`;
    return el("pre", { tabIndex: 0, className: "error", textContent: told });
  }
  const image = each.data?.["image/png"];
  if (image) {
    const src = `data:image/png;base64,${joined(image).replaceAll(/\s/g, "")}`;
    return el("img", { alt: t("output"), src });
  }
  const shown = joined(each.text ?? each.data?.["text/plain"]);
  return shown ? el("pre", { tabIndex: 0, className: "output", textContent: shown }) : null;
}

function joined(lines) {
  return Array.isArray(lines) ? lines.join("") : (lines ?? "");
}
