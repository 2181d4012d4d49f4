// The state of a class: fetched once, then patched by live messages.

import { ApiError, all, call } from "./api.js";
import { serverNow } from "./clock.js";
import { HELP_SECONDS, IDLE_SECONDS } from "./config.js";
import { Emitter } from "./emitter.js";
import { LiveChannel } from "./live.js";
import { changesErrors, toStudent, update, withStuck } from "./states.js";
import { Timers } from "./timers.js";

/**
 * @import {
 *   ChannelMessage, ConnectionState, ExecutionUpdate, HelpChange, HelpRequest, HelpRequestAnswer,
 *   Notice, Radar, State, Student, StudentNow,
 * } from "./types.d.ts"
 */

const RADAR_PAUSE = 5_000; // ms between two fetches of the errors, while there are new ones
const RADAR_MAX_AGE = 30_000; // ms; who met an error leaves its group one by one
const RETRY_DELAY = 2_000; // ms
const GATHER_DELAY = 100; // ms
const STRANGER_DELAY = 500; // ms until the class is fetched again because somebody new is in it
const REFETCH_PAUSE = 5_000; // ms between two fetches because a message didn't say enough

/**
 * What a store emits, with the detail of each.
 *
 * @typedef {object} StoreEvents
 * @property {Set<string>} changed user_ids of students, gathered until the next frame
 * @property {null} loaded the class was fetched, or that failed: see `error`
 * @property {null} radar
 * @property {null} connection
 * @property {null} tick every second
 * @property {HelpRequest} asked a student asks for help
 * @property {Notice} notice
 */

/** @extends {Emitter<StoreEvents>} */
export class ClassStore extends Emitter {
  /** @type {Map<string, Student>} */
  students = new Map(); // by user_id
  /** @type {Map<string, HelpRequest>} */
  help = new Map(); // open requests by user_id, in the order of the queue
  /** @type {Radar | null} */
  radar = null;
  /** @type {ConnectionState} */
  connection = "connecting";
  /** @type {Error | null} */
  error = null; // of the last fetch
  ready = false; // whether it has been fetched
  #answered = new Set(); // students who still press the button although a teacher has resolved it
  #strangers = new Set(); // on the channel, but no students of the class
  #fetching = false;
  #fetchAgain = false;
  /** @type {ChannelMessage[]} */
  #waiting = []; // messages received while fetching
  /** @type {Set<string>} */
  #changed = new Set();
  #timers = new Timers();
  #lookedAt = -Infinity; // ms of performance.now(): when the errors were fetched
  #fetchedAt = -Infinity; // ms of performance.now(): when the class was fetched
  #live;

  /** @param {number} id of the class */
  constructor(id) {
    super();
    this.id = id;
    this.#timers.start("tick", 1_000, () => this.#tick());
    this.#live = new LiveChannel(`class:${id}`, {
      message: (message) => {
        if (this.#fetching) this.#waiting.push(message);
        else this.#apply(message);
      },
      missed: () => this.reload(),
      status: (status) => {
        this.connection = status;
        this.emit("connection", null);
      },
    });
  }

  close() {
    this.#live.close();
    this.#timers.close();
  }

  /** @param {number} id */
  byId(id) {
    return [...this.students.values()].find((student) => student.student_id === id);
  }

  /** @param {string} userId */
  nameOf(userId) {
    return this.students.get(userId)?.name ?? userId;
  }

  /** @param {number} studentId */
  hrefOf(studentId) {
    return `#/class/${this.id}/student/${studentId}`;
  }

  /**
   * @param {Student} student
   * @returns {State}
   */
  state(student) {
    if (this.help.has(student.user_id)) return "help";
    if (!student.heard || serverNow() - student.heard > 1000 * IDLE_SECONDS) return "idle";
    return withStuck(student.errors_in_a_row ? "error" : "active", student.errors_in_a_row);
  }

  /** Fetches the class again. Messages received meanwhile are applied afterwards. */
  async reload() {
    if (this.#fetching) {
      this.#fetchAgain = true; // the answer on its way may be from before the gap
      return;
    }
    this.#fetching = true;
    do {
      this.#fetchAgain = false;
      await this.#fetch();
    } while (this.#fetchAgain);
    this.#fetching = false;
    for (const message of this.#waiting.splice(0)) this.#apply(message);
    this.emit("loaded", null);
    this.lookForErrors();
  }

  async #fetch() {
    this.#fetchedAt = performance.now();
    try {
      /** @type {[StudentNow[], HelpRequestAnswer[]]} */
      const [now, help] = await Promise.all([
        all(`classes/${this.id}/now`),
        all(`classes/${this.id}/help`),
      ]);
      this.students = new Map(now.map((student) => [student.user_id, toStudent(student)]));
      this.#setQueue(help);
      this.error = null;
      this.ready = true;
    } catch (error) {
      this.error = error instanceof Error ? error : new Error(String(error));
      const gone = error instanceof ApiError && error.status === 404;
      if (!gone) this.#timers.start("fetch", RETRY_DELAY, () => this.reload());
    }
  }

  /** @param {ChannelMessage} message */
  #apply(message) {
    if (message.event === "execution_update")
      this.#update(message.data, Date.parse(message.timestamp));
    else if (message.event === "help_request") this.#answer(message.data);
    else if (message.event === "system_message") this.emit("notice", message.data);
  }

  /**
   * @param {ExecutionUpdate} data
   * @param {number} at ms: when it happened
   */
  #update(data, at) {
    if (data.classId !== null && data.classId !== this.id) return;
    const student = this.students.get(data.userId);
    if (!student) {
      this.#meetStranger(data.userId);
      return;
    }
    if (update(student, data, at)) this.#fetchAgainSoon();
    if (changesErrors(data, this.radar)) this.lookForErrors();
    if (data.eventType === "help") this.#startHelp(student, at);
    else if (data.eventType === "help_stop") this.#stopHelp(student, at);
    const { name, team } = student;
    Object.assign(this.help.get(student.user_id) ?? {}, { name, team });
    this.#touch(student.user_id);
  }

  #fetchAgainSoon() {
    const pause = Math.max(GATHER_DELAY, this.#fetchedAt + REFETCH_PAUSE - performance.now());
    this.#timers.start("fetch", pause, () => this.reload());
  }

  /** @param {string} userId */
  #meetStranger(userId) {
    if (this.#strangers.has(userId)) return;
    this.#strangers.add(userId);
    this.#timers.start("fetch", STRANGER_DELAY, () => this.reload());
  }

  /**
   * @param {Student} student
   * @param {number} at ms
   */
  #startHelp(student, at) {
    if (serverNow() - at > 1000 * HELP_SECONDS) return; // the server ignores it too
    const request = this.help.get(student.user_id);
    if (request) request.heard = serverNow();
    else if (!this.#answered.has(student.user_id)) {
      this.#timers.start("help", GATHER_DELAY, () => this.#fetchHelp());
    }
  }

  /**
   * @param {Student} student
   * @param {number} at ms
   */
  #stopHelp(student, at) {
    const request = this.help.get(student.user_id);
    if (request && at < Date.parse(request.repeated_at)) return; // of an earlier call
    this.#answered.delete(student.user_id);
    this.help.delete(student.user_id);
  }

  /** @param {HelpChange} data */
  #answer(data) {
    const request = this.help.get(data.userId);
    if (data.status === "resolved") {
      this.#answered.add(data.userId);
      this.help.delete(data.userId);
    } else if (request) {
      request.taken_by = data.name;
      request.taken_at = data.at;
    }
    this.#touch(data.userId);
  }

  async #fetchHelp() {
    const before = new Set(this.help.keys());
    try {
      this.#setQueue(await all(`classes/${this.id}/help`));
    } catch {
      this.#timers.start("help", RETRY_DELAY, () => this.#fetchHelp());
      return;
    }
    for (const [userId, request] of this.help) {
      if (!before.has(userId)) this.emit("asked", request);
    }
  }

  /** @param {HelpRequestAnswer[]} requests */
  #setQueue(requests) {
    for (const userId of this.help.keys()) this.#touch(userId);
    this.help = new Map();
    for (const request of requests) {
      this.help.set(request.user_id, { ...request, heard: Date.parse(request.repeated_at) });
      this.#touch(request.user_id);
    }
  }

  /** Fetches the errors soon, with a pause after: a class that fails all at once asks once. */
  lookForErrors() {
    const pause = Math.max(GATHER_DELAY, this.#lookedAt + RADAR_PAUSE - performance.now());
    this.#timers.start("radar", pause, async () => {
      this.#lookedAt = performance.now();
      if (document.hidden) return;
      try {
        this.radar = await call(`classes/${this.id}/errors`);
        this.emit("radar", null);
      } catch {
        this.#timers.start("radar again", RADAR_PAUSE, () => this.lookForErrors());
      }
    });
  }

  #tick() {
    for (const [userId, request] of this.help) {
      if (serverNow() - request.heard > 1000 * HELP_SECONDS) {
        this.help.delete(userId);
        this.#touch(userId);
      }
    }
    this.#forgetErrors();
    this.emit("tick", null);
    this.#timers.start("tick", 1_000, () => this.#tick());
  }

  // A group leaves when its last error is too old, though nothing happens.
  #forgetErrors() {
    if (!this.radar) return;
    const { groups, minutes } = this.radar;
    const since = serverNow() - minutes * 60_000;
    const recent = groups.filter((group) => Date.parse(group.last_at) > since);
    if (groups.length && performance.now() > this.#lookedAt + RADAR_MAX_AGE) this.lookForErrors();
    if (recent.length === groups.length) return;
    this.radar.groups = recent;
    this.emit("radar", null);
  }

  // Gathers changes until the next frame.
  /** @param {string} userId */
  #touch(userId) {
    if (!this.#changed.size) {
      requestAnimationFrame(() => {
        const changed = this.#changed;
        this.#changed = new Set();
        this.emit("changed", changed);
      });
    }
    this.#changed.add(userId);
  }
}
