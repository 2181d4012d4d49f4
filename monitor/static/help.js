// Who needs me first: the help queue.

import { send, serverNow } from "./api.js";
import { arrange, el, set, toast } from "./dom.js";
import { cellName, minutes, t } from "./texts.js";

export function helpView(root, store) {
  const name = el("input", {
    type: "text",
    autocomplete: "name",
    maxLength: 200,
    value: localStorage.getItem("name") ?? "",
  });
  name.oninput = () => localStorage.setItem("name", name.value.trim());
  const list = el("ol", { className: "queue" });
  const empty = el("p", { textContent: t("queue_empty") });
  const cards = new Map();

  const act = async (request, what) => {
    if (!name.value.trim()) {
      toast(t("name_first"));
      name.focus();
      return;
    }
    try {
      await send("POST", `classes/${store.id}/help/${request.student_id}/${what}`, {
        name: name.value.trim(),
      });
      // The button that had the focus goes, once the message is here.
      if (what === "take") cards.get(request.user_id)?.resolve.focus();
      else document.getElementById("view").focus({ preventScroll: true });
    } catch (error) {
      toast(t("failed", error.message));
    }
  };

  const show = () => {
    const waits = (request) => Date.parse(request.asked_at);
    const queue = [...store.help.values()].sort(
      (a, b) =>
        Boolean(a.taken_by) - Boolean(b.taken_by) ||
        waits(a) - waits(b) ||
        a.student_id - b.student_id,
    );
    for (const userId of cards.keys()) if (!store.help.has(userId)) cards.delete(userId);
    arrange(
      list,
      queue.map((request) => {
        const asked = `${request.asked_at} ${request.last_error?.at}`;
        if (cards.get(request.user_id)?.asked !== asked) {
          cards.set(request.user_id, card(store, request, asked, act));
        }
        const shown = cards.get(request.user_id);
        shown.update(request);
        return shown.element;
      }),
    );
    empty.hidden = queue.length > 0;
  };

  root.append(
    el("div", { className: "bar" }, el("label", {}, `${t("your_name")} `, name)),
    el("p", { className: "hint", textContent: t("queue_rule") }),
    list,
    empty,
  );
  for (const event of ["changed", "loaded", "tick"]) store.addEventListener(event, show);
  show();
  return () => {
    for (const event of ["changed", "loaded", "tick"]) store.removeEventListener(event, show);
  };
}

function card(store, request, asked, act) {
  const title = el("a", {
    href: `#/class/${store.id}/student/${request.student_id}`,
    textContent: request.name ?? request.user_id,
  });
  const waiting = el("span", { className: "waiting" });
  const taken = el("span", { className: "taken" });
  const take = el("button", {
    type: "button",
    textContent: t("take"),
    onclick: () => act(request, "take"),
  });
  const resolve = el("button", {
    type: "button",
    textContent: t("resolve"),
    onclick: () => act(request, "resolve"),
  });
  const where = [
    request.team,
    request.notebook_path,
    request.cell_id ? cellName(request.cell_position) : null,
  ];
  const failed = request.last_error;
  const error = failed
    ? el(
        "details",
        {},
        el("summary", {
          textContent: `${t("last_error")}: ${(failed.error ?? "").split("\n")[0]}`,
        }),
        el("pre", { tabIndex: 0, textContent: failed.code ?? "" }),
        el("pre", { tabIndex: 0, className: "error", textContent: failed.error ?? "" }),
      )
    : el("p", { className: "hint", textContent: t("no_error") });
  const shape = el("span", { className: "shape", ariaHidden: "true" });
  shape.dataset.state = "help";
  const element = el(
    "li",
    { className: "card" },
    el("div", { className: "line" }, shape, el("h2", {}, title), waiting, taken, take, resolve),
    el("p", { className: "place", textContent: where.filter(Boolean).join(" · ") }),
    error,
  );
  return {
    element,
    asked,
    resolve,
    update(now) {
      request = now;
      set(waiting, t("waiting", minutes(serverNow() - Date.parse(now.asked_at))));
      set(taken, now.taken_by ? t("taken", now.taken_by) : "");
      take.hidden = Boolean(now.taken_by);
      element.classList.toggle("is-taken", Boolean(now.taken_by));
    },
  };
}
