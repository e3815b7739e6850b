// The console: a live page about a rehearsal.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Act } from "./act.jsx";
import { Alarms } from "./alarms.jsx";
import { Bill } from "./bill.jsx";
import { Account, Disabled } from "./deployed.jsx";
import { Letters } from "./letters.jsx";
import { MapView } from "./map.jsx";
import { Panel } from "./panel.jsx";
import { numberText, route, store, to, useStore } from "./store.js";
import { TimeBar } from "./timebar.jsx";
import { Trace } from "./trace.jsx";
import { WhatIf } from "./whatif.jsx";

const CONNECTIONS = {
  connecting: "connecting …",
  connected: "",
  reconnecting: "reconnecting: nothing will be missing …",
  ended: "what this page shows has ended",
};

function App() {
  const { about, head, recording, status, connection, view } = useStore();
  const { name, rest } = route(view);
  const place = name === "map" && rest ? recording.nodes.findIndex((node) => node.path === rest) : -1;
  const chosen = place < 0 ? undefined : place;
  const choose = (next) => { location.hash = to("map", recording.nodes[next]?.path); };
  const dead = recording.nodes.reduce((sum, node, place) => sum + (node.dead ? head.depth[place] : 0), 0);
  useShortcuts();
  const state = CONNECTIONS[connection] || (status.paused ? "paused" : status.phase);
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <header class="bar">
        <h1>{about.title} <span>console</span></h1>
        <nav aria-label="Views">
          <Tab name="map" now={name}>Map</Tab>
          <Tab name="trace" now={name}>Traces</Tab>
          <Tab name="letters" now={name} number={dead}>Dead letters</Tab>
          <Tab name="alarms" now={name} number={head.ringing.size}>Alarms</Tab>
          {!about.deployed && <Tab name="bill" now={name}>Bill</Tab>}
          {!about.deployed && <Tab name="whatif" now={name}>What if</Tab>}
          {about.actions.some((action) => action.role) && <Tab name="act" now={name}>Take part</Tab>}
        </nav>
        <p class="state" role="status">{state}</p>
        {about.actions.filter((action) => !action.role).map((action) => <ActionButton key={action.name} action={action} />)}
        <Theme />
      </header>
      {about.deployed && <Account />}
      <Disabled />
      <Faults faults={status.faults} />
      <Notice />
      <Result />
      <main id="main" tabindex="-1" class={chosen !== undefined && name === "map" ? "with-panel" : ""}>
        {name === "map" && <MapView chosen={chosen} choose={choose} />}
        {name === "map" && chosen !== undefined && (
          <Panel key={chosen} place={chosen} close={() => choose(undefined)} />
        )}
        {name === "trace" && <Trace of={rest} />}
        {name === "letters" && <Letters of={rest} />}
        {name === "alarms" && <Alarms of={rest} />}
        {name === "bill" && !about.deployed && <Bill />}
        {name === "whatif" && !about.deployed && <WhatIf key={rest} of={rest} />}
        {name === "act" && <Act />}
      </main>
      <TimeBar />
    </>
  );
}

function Tab({ name, now, number, children }) {
  return (
    <a href={to(name)} aria-current={name === now ? "page" : undefined}>
      {children}{number > 0 && <span class="badge">{numberText(number)}</span>}
    </a>
  );
}

function Faults({ faults }) {
  if (!faults.length) return null;
  return (
    <div class="banner" role="status">
      ⚡ {faults.map((fault) => `${fault.name} at ${fault.target || fault.source}`).join(", ")}
      <button type="button" onClick={() => store.run("heal", {}, "All faults are healed")}>Heal all</button>
    </div>
  );
}

function Notice() {
  const { notice } = useStore();
  return (
    <div class={notice ? "notice" : "hidden"} role="status" aria-live="polite">
      {notice}
      {notice && <button type="button" class="quiet" aria-label="Close the notice" onClick={() => store.say("")}>✕</button>}
    </div>
  );
}

function ActionButton({ action }) {
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    const result = await store.run("act", { name: action.name });
    if (result) store.result = { ...result, name: action.name };
    store.changed();
    setBusy(false);
  };
  return (
    <button type="button" title={action.says} aria-busy={busy} disabled={busy} onClick={run}>
      {busy ? `${action.name} …` : action.name}
    </button>
  );
}

function Result() {
  const { result } = useStore();
  if (!result) return null;
  const close = () => { store.result = undefined; store.changed(); };
  return (
    <section class={`result ${result.good ? "good" : "bad"}`} aria-label={result.name} role="status">
      <div class="head">
        <h2>{result.good ? "✓" : "✕"} {result.text}</h2>
        <button type="button" class="quiet" aria-label="Close the result" onClick={close}>✕</button>
      </div>
      {result.rows && (
        <div class="scroll" tabindex="0" role="region" aria-label={`Table of ${result.name}`}>
          <table>
            <thead><tr>{result.columns.map((column) => <th key={column} scope="col">{column}</th>)}</tr></thead>
            <tbody>
              {result.rows.map((row) => <tr key={row[1]}>{row.map((cell, number) => <td key={number}>{cell}</td>)}</tr>)}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

const KEY = "console-theme";

function Theme() {
  const set = (theme) => { document.documentElement.dataset.theme = theme; };
  useEffect(() => {
    const stored = localStorage.getItem(KEY);
    if (stored) set(stored);
  }, []);
  const toggle = () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    set(dark ? "light" : "dark");
    localStorage.setItem(KEY, dark ? "light" : "dark");
  };
  return <button type="button" class="quiet" aria-label="Dark or light" title="Dark or light" onClick={toggle}>◐</button>;
}

// Space pauses, a dot steps, a slash searches.
function useShortcuts() {
  useEffect(() => {
    const press = (event) => {
      if (/^(INPUT|TEXTAREA|SELECT|BUTTON|SUMMARY|A)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey) return;
      if (event.key === " ") document.querySelector(".timebar .main")?.click();
      else if (event.key === "." && !store.about.deployed) store.run("step");
      else if (event.key === "/") {
        location.hash = to("trace");
        setTimeout(() => document.getElementById("search")?.focus(), 200);
      } else return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

store.start().then(
  () => render(<App />, document.getElementById("console")),
  (error) => { document.getElementById("console").textContent = `The console cannot start: ${error.message}`; },
);
