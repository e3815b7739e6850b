// What is different about a deployed application: who looks at which account, what is missing, and
// operations that need a confirmation.
import { useEffect, useState } from "preact/hooks";
import { Icon, Path } from "./map.jsx";
import { command } from "./server.js";
import { dayText, durationText, numberText, store, timeText, to, useStore } from "./store.js";

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

// Mappings that read nothing, so that messages wait: nothing else on the page says why.
export function Disabled() {
  const { status } = useStore();
  const disabled = status.disabled ?? [];
  if (!disabled.length) return null;
  return (
    <div class="banner" role="status">
      <ul class="plain">
        {disabled.map((each) => (
          <li key={each.function + each.source}>
            <Icon kind="pause" /> <a href={to("map", each.function)}><Path path={each.function} /></a> does not read{" "}
            <Path path={each.source} />: its mapping is {each.state.toLowerCase()}{each.reason && ` (${each.reason})`}
          </li>
        ))}
      </ul>
    </div>
  );
}

// What explains the behaviour of a function: its mappings, and its reserved concurrency.
export function Settings({ path }) {
  const [settings, setSettings] = useState();
  useEffect(() => {
    command("settings", { path }).then(setSettings, (error) => store.say(error.message));
  }, [path]);
  if (!settings) return null;
  const { reserved, mappings } = settings;
  return (
    <section class="settings">
      <h3>Settings</h3>
      <ul class="plain">
        <li class={reserved === 0 ? "wrong" : ""}>
          {reserved === null && "No concurrency is reserved."}
          {reserved === 0 && "✕ Reserved concurrency is 0: each invocation is refused."}
          {reserved > 0 && `Reserved concurrency: ${reserved} invocations at once.`}
        </li>
        {mappings.map((each) => (
          <li key={each.source} class={each.reads ? "" : "wrong"}>
            {each.reads ? "" : "✕ "}<b>{each.state}</b>: reads <Path path={each.source} />
            <small>
              batches of {each.batch}{each.window_s > 0 && `, waits ${each.window_s} s for them`}
              {each.concurrency && `, at most ${each.concurrency} at once`}
              {!each.reads && each.reason && `; ${each.reason}`}
            </small>
            {each.result && <small class={each.problem ? "wrong" : ""}>{each.problem && "✕ "}last result: {each.result}</small>}
          </li>
        ))}
      </ul>
    </section>
  );
}

// The executions of a workflow.
export function Executions({ path }) {
  const [listed, setListed] = useState();
  const load = () => command("executions", { path }).then(setListed, (error) => store.say(error.message));
  useEffect(() => { load(); }, [path]);
  return (
    <section class="executions">
      <h3>Executions</h3>
      {listed && <p class="none">{listed.says}</p>}
      <ul class="plain">
        {listed?.executions.map((each) => <Execution key={each.arn} path={path} execution={each} />)}
      </ul>
      <button type="button" onClick={load}>Read again</button>
    </section>
  );
}

const MARKS = { RUNNING: "…", SUCCEEDED: "✓" };

function Execution({ path, execution }) {
  const { arn, name, status, started, ended, step } = execution;
  // Those of a log have all that is known, and no input.
  const logged = step !== undefined;
  const [about, setAbout] = useState(logged ? execution : undefined);
  const [input, setInput] = useState();
  const ask = (what, set) => command(what, { path, arn }).then(set, (error) => store.say(error.message));
  const good = MARKS[status];
  return (
    <li class={good ? "" : "bad"}>
      <details onToggle={(event) => event.target.open && !about && ask("execution", setAbout)}>
        <summary>
          <span>{good ?? "✕"} {status.toLowerCase().replace("_", " ")}</span>{" "}
          <time title={dayText(new Date(started * 1000))}>{timeText(new Date(started * 1000))}</time>
          {ended > 0 && ` ${durationText((ended - started) * 1000)}`} <small>{name}</small>
        </summary>
        {about?.step && <p>{good ? "It is at" : "It failed at"} <b>{about.step}</b>{about.error && `: ${about.error}`}</p>}
        {about && !about.step && about.error && <p>{about.error}</p>}
        {about?.cause && (
          <details>
            <summary>Cause, which may have personal data</summary>
            <pre tabindex="0" class="log">{about.cause}</pre>
          </details>
        )}
        <p class="buttons">
          <a href={to("trace", name)}>Trace</a>
          {!logged && input === undefined && (
            <button type="button" class="quiet" onClick={() => ask("input", setInput)}>Show the input, which may have personal data</button>
          )}
        </p>
        {input !== undefined && <pre tabindex="0" class="input log">{input}</pre>}
      </details>
    </li>
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
  const [picked, pick] = useState(new Set());
  const [plan, setPlan] = useState();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    command("queue", { path: queue.path }).then(setAbout, (error) => store.say(error.message));
  }, [queue.path, queue.depth]);
  const attempt = async (work) => {
    setBusy(true);
    try { return await work(); } catch (error) { store.say(error.message); } finally { setBusy(false); }
  };
  const toggle = (id) => {
    const next = new Set(picked);
    if (!next.delete(id)) next.add(id);
    pick(next);
  };
  const look = () => attempt(async () => setLetters(await command("letters", { path: queue.path })));
  const prepare = (what, more) => attempt(async () => setPlan(await command("plan", { what, path: queue.path, ...more })));
  const confirm = () => attempt(async () => {
    const { token } = plan;
    setPlan(undefined);
    store.say(await command("operate", { token }));
    pick(new Set());
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
            {picked.size > 0 && (
              <button type="button" class="main" disabled={busy} onClick={() => prepare("redrive", { only: [...picked] })}>
                Redrive {picked.size} chosen …
              </button>
            )}
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
          <Letter key={message.message_id} message={message} picked={picked.has(message.message_id)}
            toggle={about_?.operations.some(({ what }) => what === "redrive") && (() => toggle(message.message_id))}
            discard={(reason) => prepare("discard", { message_id: message.message_id, reason })} />
        ))}
      </ul>
      <Operations of={queue.path} />
    </section>
  );
}

function Letter({ message, picked, toggle, discard }) {
  const [reason, setReason] = useState();
  const { events } = message;
  const submit = (submitted) => {
    submitted.preventDefault();
    discard(reason);
    setReason(undefined);
  };
  return (
    <li class="letter">
      <label class="check">
        {toggle && <input type="checkbox" checked={picked} onChange={toggle} />}
        <b>{events.map((event) => event.type).join(", ") || "message"}</b> <small>{message.message_id}</small>
      </label>
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
