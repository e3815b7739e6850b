// What if: two forks run on from one moment, one of them changed, and are compared.
import { useState } from "preact/hooks";
import { FaultPicker } from "./faults.jsx";
import { Path } from "./map.jsx";
import { durationText, numberText, store, timeText, useStore } from "./store.js";

const SPANS = [[60, "1 minute"], [600, "10 minutes"], [3600, "1 hour"]];
const CHANGES = { fault: "a fault is injected", seed: "chance decides otherwise (another seed)", heal: "all faults are healed" };

export function WhatIf({ of }) {
  const { recording, status } = useStore();
  const [change, setChange] = useState("fault");
  const [moment, setMoment] = useState(0);
  const [seconds, setSeconds] = useState(60);
  const [seed, setSeed] = useState(1);
  const [path, setPath] = useState(of);
  const [busy, setBusy] = useState(false);
  const { branches } = store;
  const run = async (changed, says) => {
    setBusy(true);
    const result = await store.run("what_if", { seconds, moment, ...changed });
    if (result) store.branches = { ...result, says };
    setBusy(false);
  };
  const simple = { seed: () => run({ seed }, `seed ${seed}`), heal: () => run({ heal: true }, "all faults healed") };
  const places = recording.nodes.slice(0, recording.known).filter((node) => !node.dead);
  return (
    <div class="whatif">
      <section class="card" aria-label="The change">
        <h2>What if …</h2>
        <form onSubmit={(submitted) => { submitted.preventDefault(); simple[change]?.(); }}>
          <div class="fields">
            <label>From this moment on
              <select value={moment} onChange={(event) => setMoment(Number(event.target.value))}>
                <option value="0">now</option>
                {status.moments.map((each) => (
                  <option key={each.number} value={each.number}>{timeText(new Date(each.time * 1000))}: {each.says}</option>
                ))}
              </select>
            </label>
            <label>For
              <select value={seconds} onChange={(event) => setSeconds(Number(event.target.value))}>
                {SPANS.map(([value, name]) => <option key={value} value={value}>{name}</option>)}
              </select>
            </label>
            <button type="button" onClick={() => store.run("keep", {}, "This moment is kept: branches can start from it")}>Keep this moment</button>
          </div>
          <div class="fields">
            <label>The change
              <select value={change} onChange={(event) => setChange(event.target.value)}>
                {Object.entries(CHANGES).map(([value, name]) => <option key={value} value={value}>{name}</option>)}
              </select>
            </label>
            {change === "seed" && (
              <label>Seed <input type="number" value={seed} onInput={(event) => setSeed(Number(event.target.value))} /></label>
            )}
            {change === "fault" && (
              <label>Where
                <select value={path} onChange={(event) => setPath(event.target.value)}>
                  <option value="">choose …</option>
                  {places.map((node) => <option key={node.path}>{node.path}</option>)}
                </select>
              </label>
            )}
            {change !== "fault" && <button type="submit" class="main" disabled={busy}>Run both branches</button>}
          </div>
        </form>
        {change === "fault" && path && (
          <FaultPicker key={path} path={path} busy={busy} pick={(fault) => run({ fault }, `${fault.fault} at ${fault.target || fault.source}`)} />
        )}
      </section>
      <section aria-label="The comparison" aria-busy={busy}>
        <p class="lead" role="status">
          {busy ? "Two forks of the rehearsal run on. The rehearsal waits for them …"
            : !branches && "Nothing changes in the rehearsal itself: two forks of it run on from the same moment, and one of them is changed."}
        </p>
        {branches && !busy && <Comparison branches={branches} />}
      </section>
    </div>
  );
}

function Comparison({ branches }) {
  const { says, seconds, first, counts, same, records, dead, alarms, verdicts } = branches;
  const head = ["as it is", `with ${says}`];
  return (
    <div class="comparison">
      <h2>{first ? "≠" : "="} With {says}, {first ? "things go another way" : "nothing is different"} within {durationText(seconds * 1000)}</h2>
      {first && (
        <section>
          <h3>The first difference, {durationText(1000 * Math.min(...first.filter(Boolean).map(([time]) => time)))} later</h3>
          <dl class="first">
            {first.map((record, number) => (
              <div key={number}><dt>{head[number]}</dt><dd>{record ? recordText(record) : "nothing more happens"}</dd></div>
            ))}
          </dl>
        </section>
      )}
      {verdicts.length > 0 && (
        <section>
          <h3>The verdict</h3>
          <dl class="first">
            {verdicts.map(([name, good, text], number) => (
              <div key={number}><dt>{name}, {head[Math.floor(number / (verdicts.length / 2))]}</dt><dd class={good ? "" : "bad"}><span>{good ? "✓" : "✕"} {text}</span></dd></div>
            ))}
          </dl>
        </section>
      )}
      <Differences title="Dead letters at the end" rows={dead} none="No message is in a dead-letter queue." />
      <Differences title="Alarms that ring" none="No alarm rings."
        rows={alarms.map(([name, ...times]) => [name, ...times.map((time) => (time === null ? "–" : `after ${durationText(time * 1000)}`))])} />
      <Differences title="What happens more or less often" more={["difference"]} none="Everything happens equally often."
        rows={counts.map(([what, here, there]) => [what, here, there, `${there > here ? "+" : "−"}${numberText(Math.abs(there - here))}`])} />
      <p class="none">{numberText(records[0])} and {numberText(records[1])} records; {numberText(same)} kinds are equally frequent.</p>
    </div>
  );
}

function recordText([time, kind, source, target, words]) {
  const ends = [...new Set([source, target])].filter(Boolean).join(" → ");
  return `after ${time.toFixed(3)} s: ${kind}${words ? ` (${words})` : ""} ${ends}`;
}

function Differences({ title, rows, none, more = [] }) {
  return (
    <section>
      <h3>{title}</h3>
      {!rows.length && <p class="none">{none}</p>}
      {rows.length > 0 && (
        <div class="scroll" tabindex="0" role="region" aria-label={title}>
          <table>
            <thead><tr><th scope="col">what</th>{["as it is", "changed", ...more].map((each) => <th key={each} scope="col" class="figure">{each}</th>)}</tr></thead>
            <tbody>
              {rows.map(([what, ...values]) => (
                <tr key={what}><th scope="row"><Path path={what} /></th>{values.map((value, number) => <td key={number} class="figure">{value}</td>)}</tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
