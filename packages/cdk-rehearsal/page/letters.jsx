// Dead letters: by queue and cause, each with its event; redrive, its rehearsal, and discard.
import { useEffect, useState } from "preact/hooks";
import { DeployedQueue } from "./deployed.jsx";
import { Path } from "./map.jsx";
import { command } from "./server.js";
import { numberText, store, timeText, to, useStore } from "./store.js";

export function Letters({ of }) {
  const { about, head, recording } = useStore();
  const Shown = about.deployed ? DeployedQueue : Queue;
  const queues = recording.nodes
    .map((node, place) => ({ ...node, depth: head.depth[place] }))
    .filter((node) => node.dead);
  const full = queues.filter((queue) => queue.depth > 0);
  const chosen = queues.find((queue) => queue.path === of) ?? full[0];
  return (
    <div class="letters">
      <nav aria-label="Dead-letter queues">
        <p class="none">{full.length
          ? `${full.length} of ${queues.length} dead-letter queues have messages`
          : `All ${queues.length} dead-letter queues are empty`}</p>
        <ul class="found">
          {[...full, ...queues.filter((queue) => !queue.depth)].map((queue) => (
            <li key={queue.path}>
              <a href={to("letters", queue.path)} aria-current={queue === chosen ? "true" : undefined}
                class={queue.depth ? "" : "unused"}>
                <b><Path path={queue.path} /></b><span>{numberText(queue.depth)}</span>
              </a>
            </li>
          ))}
        </ul>
      </nav>
      {chosen ? <Shown key={chosen.path} queue={chosen} /> : <p class="lead">There is nothing to redrive.</p>}
    </div>
  );
}

function Queue({ queue }) {
  const [letters, setLetters] = useState();
  const [picked, pick] = useState(new Set());
  const [forecast, setForecast] = useState();
  const { status } = useStore();
  const load = () => command("letters", { path: queue.path }).then(setLetters, (error) => store.say(error.message));
  useEffect(() => { load(); }, [queue.path, queue.depth]);
  const only = picked.size ? [...picked] : undefined;
  const which = only ? `${only.length} chosen` : "all";
  const redrive = async () => {
    await store.run("redrive", { path: queue.path, only }, ({ moved }) => moved
      ? `${moved} ${moved === 1 ? "message is" : "messages are"} back in the source queue`
      : "Nothing was moved: these messages name no queue that they came from");
    pick(new Set());
    setForecast(undefined);
    load();
  };
  const rehearse = async () => {
    setForecast({});
    setForecast(await store.run("rehearse", { path: queue.path, only }));
  };
  const toggle = (id) => {
    const next = new Set(picked);
    if (!next.delete(id)) next.add(id);
    pick(next);
  };
  const causes = Map.groupBy(letters?.messages ?? [], causeOf);
  const discarded = status.discarded.filter((entry) => entry.queue === queue.path);
  return (
    <section class="queue" aria-label={queue.path}>
      <h2>{queue.path}</h2>
      {letters?.number > 0 && (
        <p class="buttons">
          <button type="button" onClick={rehearse}>Rehearse the redrive of {which}</button>
          <button type="button" class="main" onClick={redrive}>Redrive {which}</button>
        </p>
      )}
      {forecast && <Forecast forecast={forecast} />}
      {letters?.number === 0 && <p class="lead">This queue is empty.</p>}
      {[...causes].map(([cause, messages]) => (
        <section key={cause}>
          <h3>{cause} <small>{numberText(messages.length)}</small></h3>
          <ul class="plain">
            {messages.map((message) => (
              <Letter key={message.message_id} {...{ message, queue, load }}
                picked={picked.has(message.message_id)} toggle={() => toggle(message.message_id)} />
            ))}
          </ul>
        </section>
      ))}
      {letters?.number > letters?.messages.length && <p>The first {letters.messages.length} of {letters.number} are shown.</p>}
      {discarded.length > 0 && (
        <section>
          <h3>Discarded</h3>
          <ul class="plain">
            {discarded.map((entry) => (
              <li key={entry.message_id}><time>{timeText(new Date(entry.time * 1000))}</time> {entry.message_id}: {entry.reason}</li>
            ))}
          </ul>
        </section>
      )}
    </section>
  );
}

function Letter({ message, queue, picked, toggle, load }) {
  const [reason, setReason] = useState();
  const event = eventOf(message.body);
  const discard = async (submitted) => {
    submitted.preventDefault();
    await store.run("discard", { path: queue.path, message_id: message.message_id, reason }, "The message is discarded");
    load();
  };
  const type = event?.["detail-type"] ?? event?.type ?? "message";
  return (
    <li class="letter">
      <label class="check">
        <input type="checkbox" checked={picked} onChange={toggle} />
        <b>{type}</b> <small>{message.message_id}</small>
      </label>
      <p>
        Sent {timeText(new Date(message.sent * 1000))}, received {message.receive_count} times
        {message.source && ` from ${message.source}`}.{" "}
        {event?.detail?.id && <a href={to("trace", event.detail.id)}>Trace</a>}
      </p>
      <details>
        <summary>Body and attributes</summary>
        <pre tabindex="0">{JSON.stringify({ body: event ?? message.body, attributes: message.attributes }, null, 2)}</pre>
      </details>
      {reason === undefined
        ? <button type="button" class="quiet" onClick={() => setReason("")}>Discard …</button>
        : (
          <form class="discard" onSubmit={discard}>
            <label>Reason <input value={reason} onInput={(event) => setReason(event.target.value)} /></label>
            <button type="submit" disabled={!reason.trim()}>Discard</button>
          </form>
        )}
    </li>
  );
}

function Forecast({ forecast }) {
  if (forecast.moved === undefined) return <p class="forecast" role="status">A fork rehearses the redrive …</p>;
  const { moved, back, errors, seconds } = forecast;
  const failed = Object.entries(errors).map(([what, number]) => `${number} × ${what}`).join(", ");
  return (
    <div class="forecast" role="status">
      <p>
        {moved && !back ? "✓" : "✕"} In a fork of the rehearsal, {moved} {moved === 1 ? "message was" : "messages were"} redriven:
        {" "}{moved - back} left the queue for good, {back} came back, within {Math.ceil(seconds)} s of virtual time.
        Nothing has changed here.
      </p>
      {failed && <p>Errors: {failed}</p>}
    </div>
  );
}

function eventOf(body) {
  try {
    const value = JSON.parse(body);
    return value && typeof value === "object" ? value : undefined;
  } catch {
    return undefined;
  }
}

function causeOf({ attributes, source }) {
  const { ERROR_MESSAGE, ErrorMessage, Reason } = attributes;
  const said = Reason ?? ERROR_MESSAGE ?? ErrorMessage;
  return said ?? (source ? `received too often from ${source}` : "sent here by a service");
}
