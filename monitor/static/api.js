// The server's API, next to the page.

import { askToken, token } from "./token.js";

const base = document.querySelector('meta[name="api"]').content;
let ahead = 0; // ms that the server's clock is ahead of this one

export class ApiError extends Error {
  constructor(status, detail) {
    super(typeof detail === "string" ? detail : (detail ?? []).map((each) => each.msg).join("; "));
    this.status = status;
  }
}

export async function call(path, options = {}) {
  const headers = { ...options.headers, ...credential() };
  const answer = await fetch(base ? `${base}/${path}` : path, { ...options, headers });
  const told = Date.parse(answer.headers.get("Date"));
  if (told) ahead = told - Date.now();
  if (answer.status === 401) {
    await askToken();
    return call(path, options);
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, body.detail ?? answer.statusText);
  return body;
}

function credential() {
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

export function send(method, path, body, type = "application/json") {
  const text = type === "application/json" ? JSON.stringify(body) : body;
  return call(path, { method, body: text, headers: { "Content-Type": type } });
}

export async function all(path) {
  const found = [];
  const start = path.includes("?") ? `${path}&` : `${path}?`;
  for (;;) {
    const page = await call(`${start}skip=${found.length}&limit=500`);
    found.push(...page);
    if (page.length < 500) return found;
  }
}

export function serverNow() {
  return Date.now() + ahead;
}

export function socketUrl(query) {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  if (token()) query.set("token", token());
  url.search = query;
  return url;
}
