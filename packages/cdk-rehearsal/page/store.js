// The state of the page. Components that use it are drawn again a few times a second.
import { useEffect, useReducer } from "preact/hooks";
import { Playhead, Recording } from "./recording.js";
import { ask, command, follow, numbers } from "./server.js";

const REDRAWN_MS = 125;
const QUIET_MS = 2000;

class Store {
  constructor() {
    this.listeners = new Set();
    this.moving = new Set();
    this.connection = "connecting";
    this.status = { faults: [], alarms: [], discarded: [], moments: [], speed: 1, skips_quiet: true };
    this.live = true;
    this.replaying = false;
    this.replaySpeed = 1;
    this.notice = "";
    this.view = location.hash;
  }
  async start() {
    const { about, kinds, recorded } = await ask("map");
    this.about = about;
    this.recording = new Recording(about.map, kinds);
    this.recording.begin(recorded, await numbers(`rows?to=${recorded.row}`));
    this.head = new Playhead(this.recording);
    document.title = `${about.title} – console`;
    const look = () => {
      this.view = location.hash;
      const moment = new URLSearchParams(this.view.split("?")[1]).get("t");
      if (moment) this.share(Number(moment));
      this.changed();
    };
    look();
    addEventListener("hashchange", look);
    follow(recorded.place, {
      rows: (batch) => {
        this.recording.append(batch);
        if (this.wanted !== undefined) this.share(this.wanted);
        this.changed();
      },
      status: (status) => { this.status = status; this.changed(); },
      connection: (state) => { this.connection = state; this.changed(); },
    });
    let before = performance.now();
    const frame = (now) => {
      this.advance(Math.min(now - before, 250));
      before = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  // Moves the playhead on: after the end of the recording, or through the past.
  advance(elapsed) {
    const { head, recording } = this;
    const end = recording.end;
    let to = head.time;
    if (this.live) {
      const behind = end - to;
      to = behind > 60_000 || behind < 1 ? end : to + behind * Math.min(1, elapsed / 200);
    } else if (this.replaying) {
      to = Math.min(end, to + elapsed * this.replaySpeed);
      const following = recording.times.values[recording.upTo(to)];
      if (this.status.skips_quiet && following - to > QUIET_MS) to = following - QUIET_MS / 2;
      if (to >= end) this.replaying = false;
    }
    const far = to - head.time > 60_000;
    if (to !== head.time) {
      head.moveTo(to, far ? undefined : (row) => this.moving.forEach((show) => show(row)));
      this.changed();
    }
  }
  // Shows the moment that an address names, as soon as it is in the recording.
  share(time) {
    this.seek(Math.min(time, this.recording.end));
    if (time > this.recording.end) this.wanted = time;
  }
  seek(time) {
    this.wanted = undefined;
    this.live = false;
    this.replaying = false;
    this.head.moveTo(time);
    this.changed();
  }
  goLive() {
    this.wanted = undefined;
    this.live = true;
    this.replaying = false;
    this.changed();
  }

  // Carries out a command and says what came of it; returns its value, or undefined.
  async run(name, args, said) {
    try {
      const value = await command(name, args);
      if (said) this.say(typeof said === "function" ? said(value) : said);
      return value;
    } catch (error) {
      this.say(error.message);
      return undefined;
    }
  }
  say(text) {
    this.notice = text;
    this.changed();
  }
  changed() {
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.listeners.forEach((listener) => listener());
    }, REDRAWN_MS);
  }
  clock(milliseconds) {
    return new Date(this.about.start * 1000 + milliseconds);
  }
}

export const store = new Store();

export function useStore() {
  const [, redraw] = useReducer((number) => number + 1, 0);
  useEffect(() => {
    store.listeners.add(redraw);
    return () => store.listeners.delete(redraw);
  }, []);
  return store;
}

// The view and its arguments, as in #/trace/ID?t=1000.
export function route(view) {
  const [path] = view.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  return { name: name || "map", rest: decodeURIComponent(rest.join("/")) };
}
export const to = (name, rest) => `#/${name}${rest ? `/${encodeURIComponent(rest)}` : ""}`;

export const timeText = (date, digits = 0) =>
  date.toISOString().slice(11, digits ? 20 + digits : 19);
export const dayText = (date) => date.toISOString().slice(0, 10);
export const numberText = (number) => number.toLocaleString("en");
export function durationText(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 0.01) return `${milliseconds.toFixed(1)} ms`;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 2 : 0)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
export const stackName = (path) => path.split("/").at(-1);
