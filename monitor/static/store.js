// What is known of a class: fetched once, then patched by messages.

import { call, serverNow } from "./api.js";
import { follow } from "./live.js";

export const STATES = ["help", "stuck", "error", "active", "idle"]; // who needs a teacher first
export const STUCK = 3; // errors in a row
const IDLE = 300_000; // ms
const HELP_LASTS = 30_000;
const RADAR_PAUSE = 5_000; // between two looks at the errors, while there are new ones

export class ClassStore extends EventTarget {
  students = new Map(); // by user_id
  help = new Map(); // open requests by user_id, in the order of the queue
  radar = null;
  connection = "connecting";
  ready = false; // whether it has been fetched
  #answered = new Set(); // who still presses the button although a teacher has resolved it
  #strangers = new Set(); // on the channel, but no students of the class
  #fetching = null;
  #again = false;
  #waiting = []; // messages that came while fetching
  #changed = new Set();
  #timers = new Map();
  #looked = 0; // at the errors

  constructor(id) {
    super();
    this.id = id;
    this.#later("tick", 1_000, () => this.#tick());
    this.close = follow(`class:${id}`, {
      message: (each) => (this.#fetching ? this.#waiting.push(each) : this.#apply(each)),
      missed: () => this.#fetch(),
      status: (status) => {
        this.connection = status;
        this.dispatchEvent(new Event("connection"));
      },
    });
  }

  end() {
    this.close();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers = null;
  }

  byId(id) {
    return [...this.students.values()].find((student) => student.student_id === id);
  }

  reload() {
    return this.#fetch();
  }

  state(student) {
    if (this.help.has(student.user_id)) return "help";
    if (!student.heard || serverNow() - student.heard > IDLE) return "idle";
    if (student.errors_in_a_row >= STUCK) return "stuck";
    return student.errors_in_a_row ? "error" : "active";
  }

  async #fetch() {
    if (this.#fetching) {
      this.#again = true; // what is on its way may be from before the gap
      return;
    }
    this.#again = false;
    this.#fetching = Promise.all([call(`classes/${this.id}/now`), call(`classes/${this.id}/help`)]);
    try {
      const [now, help] = await this.#fetching;
      this.students = new Map(now.map((student) => [student.user_id, fetched(student)]));
      this.#queue(help);
      this.error = null;
      this.ready = true;
    } catch (error) {
      this.error = error;
      if (error.status !== 404) this.#later("fetch", 2_000, () => this.#fetch());
    }
    this.#fetching = null;
    if (this.#again) return this.#fetch();
    this.#waiting.splice(0).forEach((each) => this.#apply(each));
    this.dispatchEvent(new Event("loaded"));
    this.lookForErrors();
  }

  #apply({ event, data, timestamp }) {
    if (event === "execution_update") this.#update(data, Date.parse(timestamp));
    else if (event === "help_request") this.#answer(data);
    else if (event === "system_message")
      this.dispatchEvent(new CustomEvent("notice", { detail: data }));
  }

  #update(data, at) {
    const student = this.students.get(data.userId);
    if (!student) {
      if (this.#strangers.has(data.userId)) return;
      this.#strangers.add(data.userId);
      this.#later("fetch", 500, () => this.#fetch());
      return;
    }
    student.heard = serverNow();
    student.executions = Math.max(student.executions, data.executions);
    student.errors = Math.max(student.errors, data.errors);
    if (
      data.executions > student.counted &&
      (data.status === "success" || data.status === "error")
    ) {
      student.errors_in_a_row = data.status === "error" ? student.errors_in_a_row + 1 : 0;
    }
    if (data.notebookPath) student.notebook_path = data.notebookPath;
    if (data.cellId) {
      student.cell_id = data.cellId;
      student.cell_position = data.cellIndex;
    }
    if (data.status === "error") this.lookForErrors();
    if (data.eventType === "help") this.#calls(student, at);
    else if (data.eventType === "help_stop") this.#stops(student);
    this.#touch(student.user_id);
  }

  #calls(student, at) {
    if (serverNow() - at > HELP_LASTS) return; // as the server counts it
    const request = this.help.get(student.user_id);
    if (request) request.heard = serverNow();
    else if (!this.#answered.has(student.user_id)) {
      this.#later("help", 100, () => this.#fetchHelp());
    }
  }

  #stops(student) {
    this.#answered.delete(student.user_id);
    if (this.help.delete(student.user_id)) this.#touch(student.user_id);
  }

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
    const asked = new Set(this.help.keys());
    try {
      this.#queue(await call(`classes/${this.id}/help`));
    } catch {
      this.#later("help", 2_000, () => this.#fetchHelp());
      return;
    }
    for (const [userId, request] of this.help) {
      if (!asked.has(userId)) this.dispatchEvent(new CustomEvent("asked", { detail: request }));
    }
  }

  #queue(requests) {
    for (const userId of this.help.keys()) this.#touch(userId);
    this.help = new Map();
    for (const request of requests) {
      request.heard = Date.parse(request.repeated_at);
      this.help.set(request.user_id, request);
      this.#touch(request.user_id);
    }
  }

  // Soon, and not again before a pause: a class that fails all at once asks once.
  lookForErrors() {
    this.#later("radar", Math.max(100, this.#looked + RADAR_PAUSE - Date.now()), async () => {
      this.#looked = Date.now();
      if (document.hidden) return;
      try {
        this.radar = await call(`classes/${this.id}/errors`);
        this.dispatchEvent(new Event("radar"));
      } catch {
        this.#later("radar again", RADAR_PAUSE, () => this.lookForErrors());
      }
    });
  }

  #tick() {
    for (const [userId, request] of this.help) {
      if (serverNow() - request.heard > HELP_LASTS) {
        this.help.delete(userId);
        this.#touch(userId);
      }
    }
    this.#forgetErrors();
    this.dispatchEvent(new Event("tick"));
    this.#later("tick", 1_000, () => this.#tick());
  }

  // A group leaves when its last error is too long ago, though nothing happens.
  #forgetErrors() {
    if (!this.radar) return;
    const { groups, minutes } = this.radar;
    const since = serverNow() - minutes * 60_000;
    const recent = groups.filter((group) => Date.parse(group.last_at) > since);
    if (recent.length === groups.length) return;
    this.radar.groups = recent;
    this.dispatchEvent(new Event("radar"));
  }

  // All that changed before a frame is drawn is told at once.
  #touch(userId) {
    if (!this.#changed.size) {
      requestAnimationFrame(() => {
        const changed = this.#changed;
        this.#changed = new Set();
        this.dispatchEvent(new CustomEvent("changed", { detail: changed }));
      });
    }
    this.#changed.add(userId);
  }

  #later(name, pause, task) {
    if (!this.#timers || this.#timers.has(name)) return;
    this.#timers.set(
      name,
      setTimeout(() => {
        this.#timers.delete(name);
        task();
      }, pause),
    );
  }
}

// `counted`: up to which of the student's executions the errors in a row are known.
function fetched(student) {
  const heard = student.last_heard_at ? Date.parse(student.last_heard_at) : 0;
  return { ...student, heard, counted: student.executions };
}
