// The recording in the browser: rows in typed columns, and the state of the map at any time in it.

const WIDTH = 6;
const COLUMNS = ["times", "kind", "source", "target", "outcome", "more"];
const EVERY = 4096;
// Kinds of rows that have numbers in place of an outcome and an event.
export const SAMPLES = new Set(["depth", "alarm", "busy", "count"]);
const UNTOLD = new Set(["depth", "busy", "count"]);
export const [FINE, FAILED, IGNORED] = [0, 1, 2];

class Column {
  constructor(type) {
    this.values = new type(1 << 14);
    this.length = 0;
  }
  reserve(length) {
    if (length <= this.values.length) return;
    const larger = new this.values.constructor(Math.max(length, 2 * this.length));
    larger.set(this.values);
    this.values = larger;
  }
  push(value) {
    this.reserve(this.length + 1);
    this.values[this.length++] = value;
  }
}

export class Recording {
  constructor(map, kinds) {
    this.nodes = map.nodes.map((node) => ({ ...node }));
    this.known = this.nodes.length;
    this.kinds = kinds;
    this.times = new Column(Float64Array);
    this.kind = new Column(Uint8Array);
    this.source = new Column(Uint16Array);
    this.target = new Column(Uint16Array);
    this.outcome = new Column(Float64Array);
    this.more = new Column(Float64Array);
    this.types = [];
    this.events = [];
  }
  get length() { return this.times.length; }
  get end() { return this.length ? this.times.values[this.length - 1] : 0; }

  // Takes what was recorded before the page was opened; its rows are plain numbers.
  begin({ row, ...batch }, numbers) {
    this.append({ ...batch, row: 0, rows: [] });
    COLUMNS.forEach((name, at) => {
      const column = this[name];
      column.reserve(row);
      for (let place = 0; place < row; place++) column.values[place] = numbers[place * WIDTH + at];
      column.length = row;
    });
    // A row may be a little older than the one before it: an alarm of a past minute.
    const times = this.times.values;
    for (let place = 1; place < row; place++) if (times[place] < times[place - 1]) times[place] = times[place - 1];
  }

  // Adds what the server sends. A repeated batch changes nothing.
  append(batch) {
    this.types = batch.types;
    batch.names.forEach(([path, kind], place) => {
      this.nodes[this.known + place] ??= { path, kind, name: path, group: "", dead: false };
    });
    for (let place = this.events.length - batch.event; place < batch.events.length; place++) {
      this.events.push(batch.events[place]);
    }
    for (let at = (this.length - batch.row) * WIDTH; at < batch.rows.length; at += WIDTH) {
      const row = batch.rows;
      this.times.push(Math.max(row[at], this.end));
      this.kind.push(row[at + 1]);
      this.source.push(row[at + 2]);
      this.target.push(row[at + 3]);
      this.outcome.push(row[at + 4]);
      this.more.push(row[at + 5]);
    }
  }

  row(place) {
    return {
      place,
      time: this.times.values[place],
      kind: this.kinds[this.kind.values[place]],
      source: this.source.values[place],
      target: this.target.values[place],
      outcome: this.outcome.values[place],
      more: this.more.values[place],
    };
  }

  // The type of a row's event, or undefined.
  typeOf(row) {
    return SAMPLES.has(row.kind) || row.more < 0
      ? undefined : this.types[this.events[row.more]];
  }

  // The number of rows up to a time.
  upTo(time) {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times.values[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // The latest rows before a place that are about a node.
  *about(node, before, most) {
    for (let place = before - 1; place >= 0 && most > 0; place--) {
      if (UNTOLD.has(this.kinds[this.kind.values[place]])) continue;
      if (this.source.values[place] !== node && this.target.values[place] !== node) continue;
      most -= 1;
      yield this.row(place);
    }
  }
}

const NUMBERS = ["count", "failed", "depth", "age"];

// What the map shows at a time.
export class Playhead {
  constructor(recording) {
    this.recording = recording;
    this.time = -1;
    this.next = 0;
    this.saved = [];
    this.clear();
  }
  clear() {
    for (const name of NUMBERS) this[name] = new Float64Array(512);
    this.ringing = new Map();
  }

  // Moves to a time. Calls `show` with each row that is passed on the way forwards.
  moveTo(time, show) {
    const { recording } = this;
    if (time < this.time) this.restore(recording.upTo(time));
    this.time = time;
    while (this.next < recording.length && recording.times.values[this.next] <= time) {
      if (this.next % EVERY === 0) this.save();
      const row = recording.row(this.next);
      this.apply(row);
      show?.(row);
      this.next += 1;
    }
  }
  save() {
    const state = { ringing: new Map(this.ringing) };
    for (const name of NUMBERS) state[name] = this[name].slice();
    this.saved[this.next / EVERY] = state;
  }
  restore(rows) {
    const place = Math.min(Math.floor(rows / EVERY), this.saved.length - 1);
    if (place < 0) {
      this.next = 0;
      this.clear();
      return;
    }
    const state = this.saved[place];
    for (const name of NUMBERS) this[name] = state[name].slice();
    this.ringing = new Map(state.ringing);
    this.next = place * EVERY;
  }
  apply(row) {
    const { count, failed, depth, age } = this;
    const { source, target, outcome } = row;
    if (target >= count.length || source >= count.length) return;
    switch (row.kind) {
      case "depth":
        depth[source] = outcome;
        age[source] = row.time - row.more;
        break;
      case "count":
        count[source] += outcome;
        failed[source] += row.more;
        break;
      case "busy":
        depth[source] = outcome;
        age[source] = row.more;
        break;
      case "alarm":
        if (outcome) this.ringing.set(source, row.time);
        else this.ringing.delete(source);
        break;
      case "execution":
        if (outcome === FINE) count[source] += 1;
        else if (outcome === FAILED) failed[source] += 1;
        break;
      case "dead_letter": case "discarded": case "fault": case "throttle":
        if (row.kind !== "dead_letter") failed[row.kind === "throttle" ? target : source] += 1;
        else count[target] += 1;
        break;
      case "delivery":
        if (this.recording.nodes[target].kind === "function") break;
        if (outcome === FAILED) failed[source] += 1;
        else if (outcome === FINE) count[target] += 1;
        if (this.recording.nodes[source].kind === "topic" && outcome === FINE) count[source] += 1;
        break;
      default:
        count[target] += 1;
        if (outcome === FAILED) failed[target] += 1;
    }
  }
}
