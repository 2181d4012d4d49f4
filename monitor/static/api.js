// The server's API, next to the page.

import { learnServerTime } from "./clock.js";
import { API } from "./config.js";
import { OWN_PAGE, askCredential, noteSignedIn } from "./sign-in.js";
import { token } from "./token.js";

export const PAGE_SIZE = 500;
const DATE_AGE = 2_000; // ms: the header Date is rounded down, and made once a second

/** @typedef {{ method?: string, body?: string | Blob, headers?: Record<string, string> }} Options */

export class ApiError extends Error {
  /**
   * @param {number} status HTTP status
   * @param {string | { msg: string }[]} detail as the API says it
   */
  constructor(status, detail) {
    const messages = typeof detail === "string" ? [detail] : detail.map((each) => each.msg);
    super(messages.join("; "));
    this.messages = messages;
    this.status = status;
  }
}

/**
 * Resolves to the JSON of the answer, whose shape the caller names. Has
 * somebody sign in where the server wants that. Rejects with an ApiError, or fetch's TypeError when there is no answer.
 *
 * @template T
 * @param {string} path below the API's
 * @param {Options} [options]
 * @returns {Promise<T>}
 */
export async function call(path, options = {}) {
  const headers = { ...options.headers, ...OWN_PAGE, ...credential() };
  const sent = performance.now();
  const answer = await fetch(API + path, { ...options, headers });
  const time = Date.parse(answer.headers.get("Date") ?? "");
  if (time) learnServerTime(time, time + DATE_AGE + performance.now() - sent);
  if (answer.status === 401) {
    await askCredential();
    return call(path, options);
  }
  if (answer.ok) noteSignedIn();
  const body = await answer.json().catch(() => ({})); // a proxy's error page is no JSON
  if (!answer.ok) throw new ApiError(answer.status, body.detail ?? answer.statusText);
  return body;
}

/** @returns {Record<string, string>} */
function credential() {
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

/**
 * @template T
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @returns {Promise<T>}
 */
export function send(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  return call(path, { method, body: JSON.stringify(body), headers });
}

/**
 * @template T
 * @param {string} path
 * @param {string | Blob} csv a list in any encoding that the server reads, a text in UTF-8
 * @returns {Promise<T>}
 */
export function sendCsv(path, csv) {
  return call(path, { method: "POST", body: csv, headers: { "Content-Type": "text/csv" } });
}

/**
 * Resolves to all items of a list, page by page.
 *
 * @template T
 * @param {string} path
 * @returns {Promise<T[]>}
 */
export async function all(path) {
  /** @type {T[]} */
  const items = [];
  const start = path.includes("?") ? `${path}&` : `${path}?`;
  for (;;) {
    /** @type {T[]} */
    const page = await call(`${start}skip=${items.length}&limit=${PAGE_SIZE}`);
    items.push(...page);
    if (page.length < PAGE_SIZE) return items;
  }
}

/**
 * Has the browser save a file of the API under the name that the server gives it.
 *
 * @param {string} path
 */
export async function download(path) {
  const answer = await fetch(API + path, { headers: credential() });
  if (answer.status === 401) {
    await askCredential();
    return download(path);
  }
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new ApiError(answer.status, body.detail ?? answer.statusText);
  }
  const named = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = named?.[1] ?? "grades.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * A WebSocket of the server's. The token is a subprotocol: proxies log addresses.
 *
 * @param {URLSearchParams} query
 */
export function openSocket(query) {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = query.toString();
  return new WebSocket(url, token() ? ["cell-monitor", `bearer.${token()}`] : []);
}
