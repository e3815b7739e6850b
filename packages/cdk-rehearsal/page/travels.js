// Draws what travels: lines between nodes of the map, and dots along them.
import { FAILED, IGNORED, SAMPLES } from "./recording.js";

const TRAVEL_MS = 650;
const MOST = 500;
const MEASURED_MS = 1000;
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Travels {
  constructor(canvas, frame, recording, links) {
    Object.assign(this, { canvas, frame, recording, links });
    this.elements = new Map();
    this.dots = [];
    this.pulses = new Map();
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(frame);
    this.watching = matchMedia("(prefers-color-scheme: dark)");
    this.restyle = () => this.colour();
    this.watching.addEventListener("change", this.restyle);
    this.theme = new MutationObserver(this.restyle);
    this.theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.running = true;
    const loop = (now) => {
      if (!this.running) return;
      this.draw(now);
      requestAnimationFrame(loop);
    };
    requestAnimationFrame(loop);
  }
  stop() {
    this.running = false;
    this.observer.disconnect();
    this.theme.disconnect();
    this.watching.removeEventListener("change", this.restyle);
  }

  // Reads where the nodes are, once for many frames.
  measure() {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const frame = this.frame.getBoundingClientRect();
    const [width, height] = [this.frame.clientWidth, this.frame.clientHeight];
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    this.ratio = ratio;
    this.measured = performance.now();
    this.places = new Map();
    for (const [node, element] of this.elements) {
      const box = element.getBoundingClientRect();
      this.places.set(node, {
        x: box.left - frame.left + box.width / 2,
        y: box.top - frame.top + box.height / 2,
        left: box.left - frame.left,
        top: box.top - frame.top,
        width: box.width,
        height: box.height,
        colour: this.colours?.get(node),
      });
    }
    this.dirty = true;
  }

  // Reads the colours, which change only with the theme.
  colour() {
    const style = getComputedStyle(this.frame);
    this.failure = style.getPropertyValue("--failure").trim();
    this.muted = style.getPropertyValue("--muted").trim();
    this.colours = new Map();
    for (const [node, element] of this.elements) {
      this.colours.set(node, getComputedStyle(element).getPropertyValue("--strong").trim());
    }
    this.measure();
  }

  // Lets a row travel.
  show(row) {
    if (SAMPLES.has(row.kind) || row.kind === "execution" || row.kind === "fault") return;
    if (row.outcome === IGNORED) return;
    const { nodes } = this.recording;
    if (row.kind === "delivery" && nodes[row.target].kind === "function") return;
    const failed = row.outcome === FAILED;
    this.pulses.set(row.target, { until: performance.now() + 400, failed });
    if (this.dots.length < MOST && !still.matches) {
      this.dots.push({ from: row.source, to: row.target, start: performance.now(), failed });
    }
  }

  curve(from, to) {
    const across = to.x - from.x;
    const bend = Math.abs(across) > 40 ? 0 : 60;
    return { x: (from.x + to.x) / 2 + bend, y: Math.min(from.y, to.y) - Math.min(40, Math.abs(across) / 8) };
  }
  path(pen, from, to) {
    const by = this.curve(from, to);
    pen.moveTo(from.x, from.y);
    pen.quadraticCurveTo(by.x, by.y, to.x, to.y);
  }

  draw(now) {
    const active = this.dots.length || this.pulses.size;
    // A longer number may have moved the nodes after it.
    if (active && now - this.measured > MEASURED_MS) this.measure();
    if (!this.places || !(active || this.dirty || this.chosen !== this.drawn)) return;
    this.dirty = false;
    this.drawn = this.chosen;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.lines(pen);
    for (const [node, { until, failed }] of this.pulses) {
      const place = this.places.get(node);
      if (now > until || !place) {
        this.pulses.delete(node);
        this.dirty = true;
        continue;
      }
      pen.globalAlpha = (until - now) / 400;
      pen.strokeStyle = failed ? this.failure : place.colour || this.muted;
      pen.lineWidth = 2;
      pen.strokeRect(place.left + 1, place.top + 1, place.width - 2, place.height - 2);
    }
    pen.globalAlpha = 1;
    this.dots = this.dots.filter((dot) => this.dot(pen, dot, (now - dot.start) / TRAVEL_MS));
    if (!this.dots.length) this.dirty = true;
  }
  lines(pen) {
    pen.lineWidth = 1.5;
    for (const link of this.links) {
      const [from, to] = [this.places.get(link.source), this.places.get(link.target)];
      const chosen = this.chosen === link.source || this.chosen === link.target;
      if (!from || !to || !chosen) continue;
      pen.strokeStyle = from.colour || this.muted;
      pen.setLineDash(link.kind === "call" ? [4, 4] : []);
      pen.beginPath();
      this.path(pen, from, to);
      pen.stroke();
    }
    pen.setLineDash([]);
  }
  dot(pen, dot, part) {
    const [from, to] = [this.places.get(dot.from), this.places.get(dot.to)];
    if (part >= 1 || !from || !to) return false;
    const by = this.curve(from, to);
    const rest = 1 - part;
    const x = rest * rest * from.x + 2 * rest * part * by.x + part * part * to.x;
    const y = rest * rest * from.y + 2 * rest * part * by.y + part * part * to.y;
    pen.fillStyle = pen.strokeStyle = dot.failed ? this.failure : from.colour || to.colour || this.muted;
    pen.beginPath();
    if (dot.failed) {
      pen.lineWidth = 2.5;
      pen.moveTo(x - 4, y - 4);
      pen.lineTo(x + 4, y + 4);
      pen.moveTo(x + 4, y - 4);
      pen.lineTo(x - 4, y + 4);
      pen.stroke();
    } else {
      pen.arc(x, y, 3.2, 0, 7);
      pen.fill();
    }
    return true;
  }
}
