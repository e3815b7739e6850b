// The bar of time: pause, step, pace, and a slider over the recording.
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./map.jsx";
import { FAILED, SAMPLES } from "./recording.js";
import { dayText, durationText, store, timeText, useStore } from "./store.js";

const SPEEDS = [[0.1, "0.1×"], [0.25, "0.25×"], [1, "1×"], [4, "4×"], [20, "20×"], [1_000_000, "fastest"]];

export function TimeBar() {
  const { about, head, live, recording, replaying, status, connection, view } = useStore();
  // The time of an account cannot be changed. What is recorded can be replayed.
  const fixed = about.deployed && live;
  const speed = live ? status.speed : store.replaySpeed;
  const setSpeed = (value) => {
    if (live) store.run("pace", { speed: value });
    else { store.replaySpeed = Math.min(value, 1000); store.changed(); }
  };
  const stopped = live ? status.paused : !replaying;
  const toggle = () => {
    if (live) store.run(stopped ? "continue" : "pause");
    else { store.replaying = stopped; store.changed(); }
  };
  const gone = connection === "ended";
  const label = live ? (stopped ? "Continue the rehearsal" : "Pause the rehearsal") : (stopped ? "Replay from here" : "Pause the replay");
  const shown = store.clock(head.time);
  return (
    <footer class="timebar" aria-label="Time">
      {!fixed && <button type="button" class="main" onClick={toggle} title={label} aria-label={label} disabled={live && gone}>
        <Icon kind={stopped ? "play" : "pause"} />
      </button>}
      {!about.deployed && <button type="button" onClick={() => store.run("step")} disabled={!live || !status.paused || gone}
        title="Run until something happens" aria-label="Step"><Icon kind="step" /></button>}
      {!fixed && <label class="speed">
        <span class="hidden">Speed</span>
        <select value={SPEEDS.findLast(([value]) => value <= speed)?.[0] ?? 1} onChange={(event) => setSpeed(Number(event.target.value))}>
          {SPEEDS.map(([value, name]) => <option key={value} value={value}>{name}</option>)}
        </select>
      </label>}
      {!about.deployed && <label class="check">
        <input type="checkbox" checked={status.skips_quiet}
          onChange={(event) => store.run("pace", { skips_quiet: event.target.checked })} />
        skip quiet
      </label>}
      <div class="slider">
        <Density recording={recording} />
        <input type="range" min="0" max={Math.max(1, recording.length)} value={head.next} step="1"
          aria-label="Moment of the recording" aria-valuetext={timeText(shown)}
          onInput={(event) => store.seek(recording.times.values[Math.min(event.target.value, recording.length - 1)] ?? 0)} />
      </div>
      <a class="button" href={`${(view || "#/map").split("?")[0]}?t=${Math.round(head.time)}`} onClick={copy}
        title="Copy the address of this moment, to share it">
        link
      </a>
      <time class="now" title={dayText(shown)}>{timeText(shown)}</time>
      <button type="button" class={live ? "on" : ""} aria-pressed={live} onClick={() => store.goLive()}
        title={live ? "This is the present" : `${durationText(recording.end - head.time)} ago`}>
        {live ? "● live" : "○ go live"}
      </button>
    </footer>
  );
}

// The browser goes there itself.
function copy(event) {
  navigator.clipboard.writeText(event.target.href).then(
    () => store.say("The address of this moment is copied"),
    () => store.say("The address in the browser leads to this moment now"),
  );
}

// The share of failures along the recording.
function Density({ recording }) {
  const canvas = useRef();
  useEffect(() => {
    const { width, height } = canvas.current;
    const pen = canvas.current.getContext("2d");
    const style = getComputedStyle(canvas.current);
    pen.clearRect(0, 0, width, height);
    const failures = new Float64Array(width);
    for (let row = 0; row < recording.length; row++) {
      if (recording.outcome.values[row] === FAILED && !SAMPLES.has(recording.kinds[recording.kind.values[row]])) {
        failures[Math.floor((row * width) / recording.length)] += 1;
      }
    }
    const most = Math.max(1, ...failures);
    pen.fillStyle = style.getPropertyValue("--failure");
    failures.forEach((number, x) => {
      const tall = number ? Math.max(3, (number / most) * height) : 0;
      pen.fillRect(x, height - tall, 1, tall);
    });
    // Drawn again when it has grown by a twentieth.
  }, [Math.floor(20 * Math.log2(1 + recording.length / 2000))]);
  return <canvas ref={canvas} width="600" height="16" aria-hidden="true" />;
}
