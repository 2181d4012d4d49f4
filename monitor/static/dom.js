// Elements. What people wrote gets in as text only.

const MOST_TOASTS = 2;

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "list" && name !== "form") element[name] = value;
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The children in this order, moving only those that are elsewhere; who has the focus keeps it.
export function arrange(parent, wanted) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  let place = parent.firstChild;
  for (const child of wanted) {
    if (child === place) place = place.nextSibling;
    else parent.insertBefore(child, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus();
}

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

export function toast(text, href) {
  const close = el("button", {
    type: "button",
    className: "close",
    textContent: "×",
    ariaLabel: "×",
  });
  const box = el(
    "p",
    { className: "toast" },
    href ? el("a", { href, textContent: text }) : text,
    close,
  );
  close.onclick = () => box.remove();
  const toasts = document.getElementById("toasts");
  toasts.append(box);
  while (toasts.childElementCount > MOST_TOASTS) toasts.firstChild.remove();
  setTimeout(() => box.remove(), 12_000);
  announce(text);
}
