// The page's header: class, views, connection, language, colours.

import { button, byId, el, setText } from "./dom.js";
import { language, otherLanguage, t } from "./i18n.js";
import { openInvite } from "./invite.js";
import { signedIn } from "./sign-in.js";
import { showPlace } from "./page-title.js";
import { queueOf } from "./queue.js";
import { shape, showShape } from "./shapes.js";

/** @import { ClassStore } from "./store.js" */
/** @import { Class, ConnectionState } from "./types.d.ts" */

const THEME_KEY = "theme"; // in the browser's storage
const ALL_CLASSES = "#/classes";

/** @type {("lesson" | "errors" | "notebooks" | "activity" | "manage")[]} */
const TABS = ["lesson", "errors", "notebooks", "activity", "manage"];
const OF_LESSON = new Set(["lesson", "student", "students", "help"]);

export class Header {
  #picker = el("select", { ariaLabel: t("class") });
  #tabs = el("nav", { ariaLabel: t("views") });
  #invite = el("button", { type: "button", textContent: t("invite"), hidden: true });
  #badge = el("span", { className: "badge", hidden: true });
  #root;
  #menu;
  #sign = shape("error");
  #connected = el("span");
  #connection = el(
    "span",
    { className: "connection", role: "status", hidden: true },
    this.#sign,
    this.#connected,
  );
  /** @type {ClassStore | null} */
  #store = null;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    const other = button(t("language"), otherLanguage);
    other.lang = language === "ja" ? "en" : "ja";
    this.#picker.onchange = () => {
      const { value } = this.#picker;
      location.hash = value ? `#/class/${value}` : ALL_CLASSES;
    };
    const home = el("h1", {}, el("a", { href: "#/", textContent: t("title") }));
    const theme = button(t("theme"), toggleTheme);
    const isOpen = () => root.classList.contains("is-open");
    this.#menu = button(t("menu"), () => this.#openMenu(!isOpen()));
    this.#menu.className = "menu";
    this.#invite.className = "invite-button";
    const account = signedIn();
    for (const each of [other, theme, account]) each.classList.add("setting");
    // Not a link: the part after # is the view's address.
    const skip = button(t("skip"), () => byId("view").focus());
    skip.className = "skip";
    root.append(skip, home, this.#picker, this.#tabs, this.#invite, this.#connection, this.#menu);
    root.append(other, theme, account);
    measure(root);
    this.#openMenu(false);
    document.documentElement.dataset.theme = localStorage.getItem(THEME_KEY) ?? "";
  }

  /** @param {Class[]} classes */
  showClasses(classes) {
    const options = classes.map((each) =>
      el("option", { value: each.id, textContent: labelOf(each) }),
    );
    const all = el("option", { value: "", textContent: t("all_classes") });
    this.#picker.replaceChildren(all, ...options);
    this.#picker.hidden = !classes.length;
  }

  /**
   * Shows the store's connection and requests from now on, in place of the one before.
   *
   * @param {ClassStore | null} store
   */
  follow(store) {
    this.#store = store;
    this.#connection.hidden = !store;
    if (!store) return;
    const show = () => {
      if (store === this.#store) this.showConnection(store.connection);
    };
    store.on(["connection"], show);
    store.on(["changed", "loaded", "duties", "tick"], () => this.#showRequests());
    show();
  }

  /**
   * @param {Class | undefined} current
   * @param {string} view the name of the view that is open
   */
  show(current, view) {
    this.#openMenu(false);
    showPlace(current?.name);
    this.#picker.value = String(current?.id ?? "");
    this.#invite.hidden = !current?.is_active;
    if (current) this.#invite.onclick = () => openInvite(current.id);
    const open = OF_LESSON.has(view) ? "lesson" : view;
    const links = TABS.map((tab) =>
      el(
        "a",
        {
          href: `#/class/${current?.id}/${tab}`,
          "aria-current": tab === open ? "page" : null,
        },
        t(tab),
        tab === "lesson" ? this.#badge : null,
      ),
    );
    this.#tabs.replaceChildren(...(current ? links : []));
    this.#showRequests();
  }

  /** A student's own page: no classes to choose from. */
  showOwnPage() {
    showPlace(t("my_page"));
    this.#picker.hidden = true;
    this.#invite.hidden = true;
    this.#tabs.replaceChildren();
  }

  /** @param {ConnectionState} connection */
  showConnection(connection) {
    this.#connection.hidden = false;
    this.#connection.dataset.state = connection;
    showShape(this.#sign, connection === "live" ? "active" : "error");
    setText(this.#connected, t(connection));
  }

  /** @param {boolean} isOpen */
  #openMenu(isOpen) {
    this.#root.classList.toggle("is-open", isOpen);
    this.#menu.ariaExpanded = String(isOpen);
  }

  // How many calls wait for the teacher at this page.
  #showRequests() {
    const waiting = this.#store ? queueOf(this.#store).waiting.length : 0;
    this.#badge.hidden = !waiting;
    setText(this.#badge, String(waiting));
  }
}

/** @param {Class} each */
function labelOf({ name, is_active: isActive, is_demo: isDemo }) {
  const label = isDemo ? t("demo_name", name) : name;
  return isActive ? label : t("archived", label);
}

// On a phone, most of the header is behind a button.
// What fills the rest of the screen has to know how high the header is.
/** @param {HTMLElement} root */
function measure(root) {
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--top", `${root.offsetHeight}px`);
  }).observe(root);
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem(THEME_KEY, root.dataset.theme);
}
