// What is different about a deployed application: who looks at which account, what is missing, and
// operations that need a confirmation.
import { useEffect, useState } from "preact/hooks";
import { command } from "./server.js";
import { dayText, numberText, store, timeText, to, useStore } from "./store.js";

// The account, the caller, and what cannot be shown.
export function Account() {
  const { about, status } = useStore();
  const { account, region, identity, operates, left_out: leftOut } = about.deployed;
  const problems = status.problems ?? [];
  return (
    <section class="account" aria-label="Account">
      <details>
        <summary>
          Account {account}, {region}, as {identity}: {operates ? "may operate" : "read-only"}
        </summary>
        <p>What this page cannot know about a deployed application is left out:</p>
        <ul>{leftOut.map((text) => <li key={text}>{text}</li>)}</ul>
        <Operations />
      </details>
      {problems.length > 0 && (
        <ul class="problems" role="status">
          {problems.map((text) => <li key={text}>✕ {text}</li>)}
        </ul>
      )}
    </section>
  );
}

// What was done from this page, and by whom.
export function Operations({ of }) {
  const { status } = useStore();
  const done = (status.operations ?? []).filter((each) => !of || each.queue === of);
  if (!done.length) return null;
  return (
    <section class="operations">
      <h3>Operations</h3>
      <ul class="plain">
        {done.map((each) => (
          <li key={each.number}>
            <time title={dayText(new Date(each.time * 1000))}>{timeText(new Date(each.time * 1000))}</time>
            {" "}{each.what} {each.queue}{each.reason && `: ${each.reason}`} <small>by {each.who}: {each.result}</small>
          </li>
        ))}
      </ul>
    </section>
  );
}

// A dead-letter queue of a deployed application.
export function DeployedQueue({ queue }) {
  const { about } = useStore();
  const { operates } = about.deployed;
  const [about_, setAbout] = useState();
  const [letters, setLetters] = useState();
  const [plan, setPlan] = useState();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    command("queue", { path: queue.path }).then(setAbout, (error) => store.say(error.message));
  }, [queue.path, queue.depth]);
  const attempt = async (work) => {
    setBusy(true);
    try { return await work(); } catch (error) { store.say(error.message); } finally { setBusy(false); }
  };
  const look = () => attempt(async () => setLetters(await command("letters", { path: queue.path })));
  const prepare = (what, more) => attempt(async () => setPlan(await command("plan", { what, path: queue.path, ...more })));
  const confirm = () => attempt(async () => {
    const { token } = plan;
    setPlan(undefined);
    store.say(await command("operate", { token }));
    if (letters) setLetters(await command("letters", { path: queue.path }));
  });
  return (
    <section class="queue" aria-label={queue.path} aria-busy={busy}>
      <h2>{queue.path}</h2>
      <p>{numberText(queue.depth)} {queue.depth === 1 ? "message" : "messages"}. {about_?.says}</p>
      {!operates && (
        <p class="none">
          This page is read-only. The messages themselves can be seen only by receiving them, so that
          needs the option <code>--operate</code>, as a redrive does.
        </p>
      )}
      {operates && about_ && (
        <>
          <p class="none">{about_.looking}</p>
          <p class="buttons">
            <button type="button" disabled={busy} onClick={look}>Receive the messages to look at them</button>
            {about_.operations.map(({ what, name }) => (
              <button key={what} type="button" class="main" disabled={busy} onClick={() => prepare(what)}>{name} …</button>
            ))}
          </p>
        </>
      )}
      {plan && (
        <div class="confirm" role="alertdialog" aria-label="Confirm" aria-describedby="plan">
          <p id="plan">{plan.says}</p>
          <p class="buttons">
            <button type="button" class="main" disabled={busy} onClick={confirm}>Yes, do it</button>
            <button type="button" onClick={() => setPlan(undefined)}>Cancel</button>
          </p>
        </div>
      )}
      {letters && <p role="status">{letters.says}</p>}
      <ul class="plain">
        {letters?.messages.map((message) => (
          <Letter key={message.message_id} message={message} discard={(reason) =>
            prepare("discard", { message_id: message.message_id, reason })} />
        ))}
      </ul>
      <Operations of={queue.path} />
    </section>
  );
}

function Letter({ message, discard }) {
  const [reason, setReason] = useState();
  const { events } = message;
  const submit = (submitted) => {
    submitted.preventDefault();
    discard(reason);
    setReason(undefined);
  };
  return (
    <li class="letter">
      <b>{events.map((event) => event.type).join(", ") || "message"}</b> <small>{message.message_id}</small>
      <p>
        Sent {timeText(new Date(message.sent * 1000))}, received {message.receive_count} {message.receive_count === 1 ? "time" : "times"}. {message.cause}{" "}
        {events.filter((event) => event.id).map((event) => <a key={event.id} href={to("trace", event.id)}>Trace</a>)}
      </p>
      <details>
        <summary>Body and attributes</summary>
        <pre tabindex="0">{JSON.stringify({ body: message.body, attributes: message.attributes }, null, 2)}</pre>
      </details>
      {reason === undefined
        ? <button type="button" class="quiet" onClick={() => setReason("")}>Discard …</button>
        : (
          <form class="discard" onSubmit={submit}>
            <label>Reason <input value={reason} onInput={(event) => setReason(event.target.value)} /></label>
            <button type="submit" disabled={!reason.trim()}>Discard …</button>
          </form>
        )}
    </li>
  );
}
