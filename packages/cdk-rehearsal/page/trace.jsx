// The trace of an order, or of anything else: all events with one correlation id, and their steps.
import { useEffect, useState } from "preact/hooks";
import { FAILED, IGNORED } from "./recording.js";
import { ask } from "./server.js";
import { durationText, store, timeText, to, useStore } from "./store.js";

const REFRESH_MS = 2000;

// Long waits take little room: from a second on, a wait grows with its logarithm.
const compressed = (gap) => (gap <= 1000 ? gap : 1000 + 300 * Math.log2(gap / 1000));

function scale(steps) {
  const moments = [...new Set(steps.flatMap((step) => [step.start, step.end]))].sort((a, b) => a - b);
  const places = new Map();
  let place = 0;
  moments.forEach((moment, number) => {
    if (number) place += compressed(moment - moments[number - 1]);
    places.set(moment, place);
  });
  return (moment) => (place ? (100 * places.get(moment)) / place : 0);
}

export function Trace({ of }) {
  const { recording, connection } = useStore();
  const [trace, setTrace] = useState();
  const count = Math.floor(recording.length / 500);
  // What is logged about an event is no row, so that nothing else may be drawn again.
  const [beat, setBeat] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setBeat((number) => number + 1), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    if (of) ask(`trace?of=${encodeURIComponent(of)}`).then(setTrace, () => {});
    else setTrace(undefined);
  }, [of, connection === "connected" && beat, count]);
  return (
    <div class="trace">
      <Search of={of} />
      <section class="waterfall" aria-label="Trace" aria-live="off">
        {!of && <p class="lead">Search for an order, a customer or an event, or choose a trace.</p>}
        {of && trace === null && <p class="lead">Nothing in the recording has the id “{of}”.</p>}
        {of && trace && <Waterfall key={of} of={of} trace={trace} />}
      </section>
    </div>
  );
}

function Search({ of }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState([]);
  const { about, recording, status } = useStore();
  const older = status.searched?.found;
  const age = text ? 0 : Math.floor(recording.events.length / 50);
  useEffect(() => {
    const timer = setTimeout(() => {
      ask(`find?text=${encodeURIComponent(text)}`).then((list) => setFound(list ?? []), () => {});
    }, 150);
    return () => clearTimeout(timer);
  }, [text, age, older]);
  return (
    <section class="search" aria-label="Search">
      <label for="search">Order, customer or event id</label>
      <input id="search" type="search" value={text} autocomplete="off" spellcheck={false}
        onInput={(event) => setText(event.target.value)} />
      <p class="none" role="status">
        {text ? `${found.length} ${found.length === 1 ? "trace" : "traces"} found` : "The latest traces"}
      </p>
      <ol class="found">
        {found.map((each) => (
          <li key={each.correlation}>
            <a href={to("trace", each.correlation)} aria-current={each.correlation === of ? "true" : undefined}>
              <b>{each.types[0]}</b>
              <span>{each.subject ?? each.correlation}</span>
              <small>{each.events} {each.events === 1 ? "event" : "events"}, the last one {each.types.at(-1)}</small>
            </a>
          </li>
        ))}
      </ol>
      {about.deployed && <Older text={text} searched={status.searched ?? {}} />}
    </section>
  );
}

const SPANS = [[1, "hour"], [24, "day"], [168, "week"], [720, "30 days"]];

// A search in the logs of a deployed application that were written before those that are read.
function Older({ text, searched }) {
  const [hours, setHours] = useState(24);
  const { done, of, found } = searched;
  const submit = (submitted) => {
    submitted.preventDefault();
    store.run("search", { text: text.trim(), hours });
  };
  return (
    <form class="older" onSubmit={submit} aria-label="Older logs">
      <label>Older logs, of the last{" "}
        <select value={hours} onChange={(event) => setHours(Number(event.target.value))}>
          {SPANS.map(([each, name]) => <option key={each} value={each}>{name}</option>)}
        </select>
      </label>{" "}
      <button type="submit" disabled={!text.trim()}>Search</button>
      <p class="none" role="status">
        {searched.text && (done < of
          ? `Log group ${done + 1} of ${of} is searched for ${searched.text}: ${found} lines …`
          : `${found} ${found === 1 ? "line" : "lines"} found about ${searched.text} in ${of} log groups.`)}
      </p>
    </form>
  );
}

function Waterfall({ of, trace }) {
  const [open, setOpen] = useState();
  const steps = trace.steps.filter((step) => step.outcome !== IGNORED || step.says === "ended");
  const at = scale(steps);
  const start = steps[0]?.start ?? 0;
  const end = Math.max(...steps.map((step) => step.end));
  const show = async (step) => {
    if (open?.record === step.record) return setOpen(undefined);
    setOpen({ record: step.record, body: await ask(`record/${step.record}`) });
  };
  const [{ subject }] = trace.events;
  const byId = new Map(trace.events.map((event) => [event.id, event]));
  return (
    <>
      <div class="head">
        <h2>{subject ?? of}</h2>
        <p>
          {trace.events.length} events in {durationText(end - start)}, 
          {trace.correlations.length > 1 ? " correlation ids " : " correlation id "}<code>{trace.correlations.join(", ")}</code>.{" "}
          {subject && subject !== of && <><a href={to("trace", subject)}>All about it</a>{" "}</>}
          <button type="button" class="quiet" onClick={() => { store.seek(start); location.hash = to("map"); }}>
            Show on the map
          </button>
        </p>
      </div>
      {trace.events.map((event) => {
        const own = steps.filter((step) => step.event === event.number && step.says !== "started");
        const cause = byId.get(event.causation);
        return (
          <article class="event" key={event.number}>
            <h3>
              <button type="button" aria-expanded={open?.event === event.number}
                onClick={() => setOpen(open?.event === event.number ? undefined : { event: event.number })}>
                {event.type}
              </button>
              <small>{cause ? `caused by ${cause.type}` : event.causation ? `caused by ${event.causation}` : "first"}</small>
            </h3>
            {open?.event === event.number && <pre tabindex="0">{JSON.stringify(event.body, null, 2)}</pre>}
            <ol>
              {own.map((step) => (
                <li key={step.record} class={step.outcome === FAILED ? "bad" : ""}>
                  <button type="button" aria-expanded={open?.record === step.record} onClick={() => show(step)}>
                    <time>{timeText(store.clock(step.start), 3)}</time>
                    <span class="what">{nameOf(step)}</span>
                    <span class="bar"><i class={step.end > step.start ? step.kind : `point ${step.kind}`}
                      style={{ left: `${at(step.start)}%`, width: `${at(step.end) - at(step.start)}%` }} /></span>
                    <span class="took">
                      {step.outcome === FAILED ? `✕ ${errorOf(step)}` : step.end > step.start ? durationText(step.end - step.start) : step.says}
                    </span>
                  </button>
                  {open?.record === step.record && <pre tabindex="0">{JSON.stringify(open.body, null, 2)}</pre>}
                </li>
              ))}
            </ol>
          </article>
        );
      })}
    </>
  );
}

const errorOf = (step) => step.error?.errorType ?? (typeof step.error === "string" ? step.error : step.says || "failed");

function nameOf({ kind, source, target }) {
  if (kind === "published") return `${source} publishes`;
  if (kind === "execution") return `${source}${target ? ` enters ${target}` : ""}`;
  return target;
}
