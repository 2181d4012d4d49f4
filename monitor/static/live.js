// A WebSocket that reconnects by itself, without a gap: docs/live.md. Where a network lets none
// through, the whole state is fetched again and again.

import { openSocket } from "./api.js";
import { learnServerTime } from "./clock.js";
import { askCredential, isAskingCredential } from "./sign-in.js";

/** @import { ChannelMessage, ConnectionState, ControlMessage } from "./types.d.ts" */

const PING_AFTER = 15_000; // ms of silence
const PONG_TIMEOUT = 5_000; // ms
const FIRST_TIMEOUT = 5_000; // ms until a socket's first message
const POLL_INTERVAL = 5_000; // ms
const POLL_TIMEOUT = 10_000; // ms, after which the network is taken for dead
const TRIES = 2; // sockets without a message, after which the state is fetched
const MIN_RETRY_DELAY = 500; // ms
const MAX_RETRY_DELAY = 10_000; // ms
const LOGIN_ENDED = 4401; // the close code of a socket whose credential is not valid any more
const COALESCE = 20; // ms of messages in one frame: about as long as the screen shows a picture

/**
 * @typedef {object} Handlers
 * @property {(message: ChannelMessage) => void} message for everything that happens on the channel
 * @property {() => void} missed at first, and when messages may be missing: fetch the whole state
 * @property {() => Promise<boolean>} poll the same without a socket; whether it could be fetched
 * @property {(status: ConnectionState) => void} status
 */

export class LiveChannel {
  #channel;
  #handlers;
  #since = ""; // the last message's id
  #retryDelay = MIN_RETRY_DELAY;
  #timer = 0;
  #silent = 0; // sockets in a row without a message
  #polling = 0; // fetches without a socket; 0 while there is one
  #pollTimer = 0;
  #closed = false;
  /** @type {WebSocket | null} */
  #socket = null;

  /**
   * @param {string} channel
   * @param {Handlers} handlers
   */
  constructor(channel, handlers) {
    this.#channel = channel;
    this.#handlers = handlers;
    this.#open();
  }

  close() {
    this.#closed = true;
    this.#stopPolling();
    if (this.#socket) this.#drop(this.#socket);
  }

  #open() {
    if (this.#closed) return;
    const query = new URLSearchParams({ channels: this.#channel, coalesce: String(COALESCE) });
    if (this.#since) query.set("since", this.#since);
    const socket = openSocket(query);
    this.#socket = socket;
    if (!this.#polling) this.#handlers.status("connecting");
    // A filter may swallow the handshake, or what follows it.
    this.#timer = setTimeout(() => this.#drop(socket), FIRST_TIMEOUT);
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#retryDelay = MIN_RETRY_DELAY;
      this.#silent = -1;
      this.#stopPolling();
      this.#watch(socket);
      for (const message of JSON.parse(data)) this.#receive(message);
    };
    socket.onclose = ({ code }) => {
      if (code === LOGIN_ENDED) this.#end(socket);
      else this.#drop(socket);
    };
  }

  // Takes the connection for dead when a ping stays without an answer.
  /** @param {WebSocket} socket */
  #watch(socket) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      socket.send('{"action": "ping"}');
      this.#timer = setTimeout(() => this.#drop(socket), PONG_TIMEOUT);
    }, PING_AFTER);
  }

  // Without waiting for the close: on a dead network it takes minutes.
  /** @param {WebSocket} socket */
  #drop(socket) {
    if (socket !== this.#socket) return;
    clearTimeout(this.#timer);
    this.#socket = null;
    socket.close();
    if (this.#closed) return;
    this.#silent += 1;
    if (this.#silent === TRIES) this.#poll();
    else if (!this.#polling) this.#lose();
    setTimeout(() => this.#open(), this.#retryDelay * (0.5 + Math.random() / 2));
    this.#retryDelay = Math.min(2 * this.#retryDelay, MAX_RETRY_DELAY);
  }

  // Another socket would be refused, too, until somebody has signed in.
  /** @param {WebSocket} socket */
  async #end(socket) {
    if (socket !== this.#socket) return;
    clearTimeout(this.#timer);
    this.#socket = null;
    if (this.#closed) return;
    this.#stopPolling();
    this.#handlers.status("ended");
    await askCredential();
    this.#open();
  }

  #lose() {
    this.#handlers.status(isAskingCredential() ? "ended" : "lost");
  }

  async #poll() {
    this.#polling += 1;
    const current = this.#polling;
    const late = new Promise((resolve) => setTimeout(() => resolve(false), POLL_TIMEOUT));
    const fetched = await Promise.race([this.#handlers.poll(), late]);
    if (current !== this.#polling) return; // it was stopped meanwhile
    if (fetched) this.#handlers.status("polling");
    else this.#lose();
    this.#pollTimer = setTimeout(() => this.#poll(), POLL_INTERVAL);
  }

  #stopPolling() {
    clearTimeout(this.#pollTimer);
    this.#polling = 0;
  }

  /** @param {ChannelMessage | ControlMessage} message */
  #receive(message) {
    learnServerTime(Date.parse(message.timestamp));
    const first = !this.#since;
    this.#since = message.id;
    switch (message.event) {
      case "stale":
        this.#handlers.status("stale");
        break;
      case "subscribed":
      case "resumed":
        this.#handlers.status("live");
        if (first || message.data.recovered === false) this.#handlers.missed();
        break;
      default:
        if (message.channel) this.#handlers.message(message);
    }
  }
}
