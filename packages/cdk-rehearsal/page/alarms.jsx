// The alarms of the templates, evaluated on what the rehearsal has metered.
import { useEffect, useState } from "preact/hooks";
import { Path } from "./map.jsx";
import { store, useStore } from "./store.js";

const STATES = { ALARM: "✕ in alarm", OK: "✓ ok", INSUFFICIENT_DATA: "– no data" };

export function Alarms({ of }) {
  const { status } = useStore();
  const [alarms, setAlarms] = useState();
  const load = async () => setAlarms(await store.run("alarms"));
  useEffect(() => { load(); }, [status.alarms.length]);
  const order = { ALARM: 0, OK: 1, INSUFFICIENT_DATA: 2 };
  const first = (alarm) => (alarm.path === of ? -1 : order[alarm.state] ?? 3);
  const sorted = [...(alarms ?? [])].sort((a, b) => first(a) - first(b) || a.path.localeCompare(b.path));
  const shown = (alarm) => alarm.state === "ALARM" || alarm.path === of;
  const ringing = sorted.filter((alarm) => alarm.state === "ALARM").length;
  return (
    <div class="alarms">
      <p class="lead" role="status">
        {!alarms && "The alarms are evaluated …"}
        {alarms && (ringing ? `${ringing} of ${alarms.length} alarms are in alarm.` : `None of ${alarms.length} alarms is in alarm.`)}{" "}
        <button type="button" onClick={load}>Evaluate again</button>
      </p>
      <ul class="plain">
        {sorted.filter((alarm) => shown(alarm)).map((alarm) => <Alarm key={alarm.path} alarm={alarm} of={of} />)}
      </ul>
      {alarms && (
        <details>
          <summary>All {alarms.length - sorted.filter(shown).length} others</summary>
          <ul class="plain">
            {sorted.filter((alarm) => !shown(alarm)).map((alarm) => <Alarm key={alarm.path} alarm={alarm} of={of} />)}
          </ul>
        </details>
      )}
    </div>
  );
}

function Alarm({ alarm, of }) {
  return (
    <li class={`alarm-row ${alarm.state}`} aria-current={alarm.path === of ? "true" : undefined}>
      <h2><Path path={alarm.path} /> <small>{STATES[alarm.state]}</small></h2>
      {alarm.says && <p><Linked text={alarm.says} /></p>}
      {alarm.state !== "OK" && <p class="none">{alarm.reason}</p>}
      <Runbook path={alarm.path} />
    </li>
  );
}

// What to do: a link to the page in the catalogue, and the text, which needs no network.
function Runbook({ path }) {
  const [text, setText] = useState();
  const page = store.about.pages[path];
  if (!store.about.runbook) return null;
  return (
    <details onToggle={(event) => event.target.open && text === undefined && store.run("runbook", { path }).then(setText)}>
      <summary>What to do</summary>
      {page && <p><a href={`site/${page}`} target="_blank" rel="noopener">The runbook's page in the catalogue</a></p>}
      {text !== undefined && <pre tabindex="0" class="log">{text || "The runbook has no page for this alarm."}</pre>}
    </details>
  );
}

// A text whose addresses are links. Only https is one: what a template says is not trusted more.
function Linked({ text }) {
  return text.split(/(https:\/\/[^\s<>"]+)/).map((part, number) => number % 2
    ? <a key={number} href={part} rel="noreferrer noopener" target="_blank">{part}</a>
    : part);
}
