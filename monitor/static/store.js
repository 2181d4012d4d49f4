// The state of a class: fetched once, then patched by live messages.

import { ApiError, all, call } from "./api.js";
import { Calls, fetchCalls } from "./calls.js";
import { CellNames } from "./cell-names.js";
import { serverNow } from "./clock.js";
import { ClassDuties } from "./duties.js";
import { Emitter } from "./emitter.js";
import { LiveChannel } from "./live.js";
import { changesErrors, isIdle, toStudent, update, withStuck } from "./states.js";
import { Strangers } from "./strangers.js";
import { Timers } from "./timers.js";

/**
 * @import {
 *   ChannelMessage, Class, ConnectionState, ExecutionUpdate, HelpChange, HelpRequestAnswer,
 *   Notice, Radar, Room, State, Student, StudentNow, SubmissionChange,
 * } from "./types.d.ts"
 */

const RADAR_PAUSE = 5_000; // ms between two fetches of the errors, while there are new ones
const RADAR_MAX_AGE = 30_000; // ms; who met an error leaves its group one by one
const RETRY_DELAY = 2_000; // ms
const GATHER_DELAY = 100; // ms
const SHOW_DELAY = 30; // ms in which changes other than calls are gathered: each picture of a room costs memory
const RUN_PAUSE = 3_000; // ms between two fetches of what those who call have run
const STRANGER_PAUSE = 500; // ms between two fetches because somebody new is in the class
const REFETCH_PAUSE = 5_000; // ms between two fetches because a message didn't say enough
const NAMES_PAUSE = 15_000; // ms between two fetches because nobody has been seen in a cell before

/**
 * What a store emits, with the detail of each.
 *
 * @typedef {object} StoreEvents
 * @property {Set<string>} changed user_ids of students, gathered until the next frame
 * @property {null} loaded the class was fetched, or that failed: see `error`
 * @property {null} ran somebody has run something, with `changed`
 * @property {null} radar
 * @property {null} connection
 * @property {null} tick every second
 * @property {Room} room the class has another room, or other seats
 * @property {null} duties of the teachers who are in the class: see `duties`
 * @property {SubmissionChange} submission one was handed in or graded
 * @property {Notice} notice
 */

/** @extends {Emitter<StoreEvents>} */
export class ClassStore extends Emitter {
  /** @type {Map<string, Student>} */
  students = new Map(); // by user_id
  /** @type {Radar | null} */
  radar = null;
  /** @type {ConnectionState} */
  connection = "connecting";
  /** @type {Error | null} */
  error = null; // of the last fetch
  ready = false; // whether it has been fetched
  duties;
  #calls = new Calls();
  #cellNames = new CellNames();
  #strangers = new Strangers();
  /** @type {Promise<void> | null} */
  #loading = null;
  #fetchAgain = false;
  /** @type {ChannelMessage[]} */
  #waiting = []; // messages received while fetching
  /** @type {Set<string>} */
  #changed = new Set();
  #isTelling = false; // whether the next frame shows them
  #hasRun = false; // whether one of them has run something
  #timers = new Timers();
  #lookedAt = -Infinity; // ms of performance.now(): when the errors were fetched
  #fetchedAt = -Infinity; // ms of performance.now(): when the class was fetched
  #live;

  /** @param {Class} current */
  constructor(current) {
    super();
    const { id } = current;
    this.id = id;
    this.current = current;
    this.duties = new ClassDuties(this, () => this.emit("duties", null)); // it asks at once, for the id
    this.#timers.start("tick", 1_000, () => this.#tick());
    this.duties.sign();
    this.#live = new LiveChannel(`class:${id}`, {
      message: (message) => {
        if (this.#loading) this.#waiting.push(message);
        else this.#apply(message);
      },
      missed: () => this.reload(),
      poll: () => this.reload().then(() => this.error === null),
      status: (status) => {
        this.connection = status;
        this.emit("connection", null);
      },
    });
  }

  /** The open calls for help by user_id, in the order of the queue. */
  get help() {
    return this.#calls.open;
  }

  /** Whether what is shown is what the server knows. */
  get isCurrent() {
    const isCut = this.connection === "lost" || this.connection === "ended";
    return this.ready && !this.error && !isCut;
  }

  close() {
    this.#live.close();
    this.#timers.close();
    this.duties.close();
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
    if (isIdle(student)) return "idle";
    return withStuck(student.errors_in_a_row ? "error" : "active", student, this.current);
  }

  /** Fetches the class again. Messages received meanwhile are applied afterwards. */
  reload() {
    if (this.#loading) this.#fetchAgain = true; // the answer on its way may be from before the gap
    else this.#loading = this.#load();
    return this.#loading;
  }

  async #load() {
    do {
      this.#fetchAgain = false;
      await this.#fetch();
    } while (this.#fetchAgain);
    this.#loading = null;
    for (const message of this.#waiting.splice(0)) this.#apply(message);
    this.emit("loaded", null);
    this.lookForErrors();
  }

  async #fetch() {
    const askedAt = performance.now();
    this.#fetchedAt = askedAt;
    try {
      /** @type {[StudentNow[], HelpRequestAnswer[]]} */
      const [now, help] = await Promise.all([
        all(`classes/${this.id}/now`),
        fetchCalls(this.id),
      ]);
      this.#cellNames.learn(now);
      this.#nameCells(now);
      this.students = new Map(
        now.map((student) => {
          const before = this.students.get(student.user_id);
          return [student.user_id, toStudent(student, before?.failures)];
        }),
      );
      const pause = this.#strangers.settle(this.students);
      if (pause !== null) this.#timers.start("stranger", pause, () => this.reload());
      this.#calls.know(now);
      this.#setQueue(help, askedAt);
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
    else if (message.event === "help_request") this.answer(message.data);
    else if (message.event === "room") this.#sit(message.data);
    else if (message.event === "duties") this.duties.set(message.data);
    else if (message.event === "system_message") this.emit("notice", message.data);
    else if (message.event === "assignment_submitted" || message.event === "assignment_graded")
      this.emit("submission", message.data);
  }

  /** @param {Room} room */
  #sit(room) {
    const seats = new Map(room.seats.map((seat) => [seat.student_id, seat]));
    for (const student of this.students.values()) {
      const seat = seats.get(student.student_id);
      student.seat_row = seat?.row ?? null;
      student.seat_column = seat?.column ?? null;
    }
    this.emit("room", room);
  }

  /**
   * @param {ExecutionUpdate} data
   * @param {number} at ms: when it happened
   */
  #update(data, at) {
    if (data.classId !== null && data.classId !== this.id) return;
    const student = this.students.get(data.userId);
    const wasOpen = this.help.has(data.userId);
    if (!student) {
      if (this.#strangers.meet(data.userId)) this.#refetch("stranger", STRANGER_PAUSE);
      return;
    }
    if (update(student, data, at)) this.#refetch("fetch", REFETCH_PAUSE);
    if (data.status === "success" || data.status === "error") this.#hasRun = true;
    if (data.cellId && data.status && this.#cellNames.give(student))
      this.#refetch("names", NAMES_PAUSE);
    if (changesErrors(data, this.radar)) this.lookForErrors();
    if (data.eventType === "help") this.#hear(student, at);
    else if (data.eventType === "help_stop") this.#calls.stop(student.user_id, at);
    else if (data.eventType === "session_start") this.#calls.startSession(student.user_id);
    const { name, team } = student;
    const request = this.help.get(student.user_id);
    Object.assign(request ?? {}, { name, team });
    // Their error of now is shown with the call.
    if (request && (data.status === "error" || data.status === "success"))
      this.#timers.start("run", RUN_PAUSE, () => this.#fetchHelp());
    if (this.help.has(student.user_id) === wasOpen) this.#touchSoon(student.user_id);
    else this.#touch(student.user_id);
  }

  /**
   * @param {string} name of the timer
   * @param {number} pause ms since the last fetch, at least
   */
  #refetch(name, pause) {
    const wait = Math.max(GATHER_DELAY, this.#fetchedAt + pause - performance.now());
    this.#timers.start(name, wait, () => this.reload());
  }

  // Many pages hear the same, so each waits another time before it asks.
  /**
   * @param {Student} student
   * @param {number} at ms
   */
  #hear(student, at) {
    const pause = this.#calls.hear(student, at);
    if (pause !== null)
      this.#timers.start(`help in ${pause}`, pause * (1 + Math.random()), () => this.#fetchHelp());
  }

  /** @param {number} delay ms */
  #fetchHelpIn(delay) {
    this.#timers.start("help", delay, () => this.#fetchHelp());
  }

  /** @param {HelpChange} data what a teacher did to a call */
  answer(data) {
    if (this.#calls.answer(data)) this.#fetchHelpIn(GATHER_DELAY);
    this.#touch(data.userId);
  }

  async #fetchHelp() {
    const askedAt = performance.now();
    try {
      this.#setQueue(await fetchCalls(this.id), askedAt);
    } catch {
      this.#fetchHelpIn(RETRY_DELAY);
    }
  }

  // An answer may be from before the code of the cells was counted.
  /** @param {(StudentNow | HelpRequestAnswer)[]} places */
  #nameCells(places) {
    const unnamed = places.filter((each) => each.cell_id && this.#cellNames.give(each));
    if (unnamed.length) this.#refetch("names", NAMES_PAUSE);
  }

  /**
   * @param {HelpRequestAnswer[]} answers
   * @param {number} askedAt ms of performance.now()
   */
  #setQueue(answers, askedAt) {
    for (const userId of this.help.keys()) this.#touch(userId);
    this.#calls.set(answers, askedAt);
    if (this.#calls.isUnconfirmed) this.#fetchHelpIn(RETRY_DELAY);
    for (const userId of this.help.keys()) this.#touch(userId);
    this.#nameCells(answers);
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
    for (const userId of this.#calls.expire()) this.#touch(userId);
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
    this.#changed.add(userId);
    if (this.#isTelling) return;
    this.#isTelling = true;
    // A hidden page has no frames, but a title that counts calls.
    if (document.hidden) setTimeout(() => this.#tell());
    else requestAnimationFrame(() => this.#tell());
  }

  /** @param {string} userId */
  #touchSoon(userId) {
    this.#changed.add(userId);
    this.#timers.start("tell", SHOW_DELAY, () => this.#tell());
  }

  #tell() {
    this.#isTelling = false;
    const changed = this.#changed;
    this.#changed = new Set();
    if (changed.size) this.emit("changed", changed);
    if (this.#hasRun) this.emit("ran", null);
    this.#hasRun = false;
  }
}
