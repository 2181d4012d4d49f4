// The pictures that a run showed. SVG stays in an <img>: there it can run and load nothing.

import { call } from "./api.js";
import { el, failure } from "./dom.js";
import { t } from "./i18n.js";

/** @import { Execution, Picture } from "./types.d.ts" */

const TYPES = new Set(["image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp"]);

/**
 * They are loaded when they come into view; null for a run without any.
 *
 * @param {number} studentId
 * @param {Execution} run
 */
export function pictures(studentId, run) {
  if (!run.pictures) return null;
  const count = el("p", { className: "hint", textContent: t("pictures", run.pictures) });
  const root = el("div", { className: "pictures" }, count);
  const load = async () => {
    try {
      root.replaceChildren(...(await fetchPictures(studentId, run)).map(picture));
    } catch (error) {
      count.textContent = failure(error);
    }
  };
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    load();
  });
  observer.observe(root);
  return root;
}

/**
 * @param {number} studentId
 * @param {Execution} run
 * @returns {Promise<Picture[]>}
 */
function fetchPictures(studentId, run) {
  const query = new URLSearchParams({ event_id: run.event_id, executed_at: run.executed_at });
  return call(`students/${studentId}/pictures?${query}`);
}

/** @param {Picture} shown */
function picture({ media_type: type, bytes, data }) {
  if (data === null || !TYPES.has(type)) {
    return el("p", { className: "hint", textContent: t("picture_left_out", type, Math.round(bytes / 1000)) });
  }
  return el("img", { alt: t("output"), src: `data:${type};base64,${data}` });
}
