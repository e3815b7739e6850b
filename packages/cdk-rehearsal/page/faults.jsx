// The choice of a fault: a site at a node or edge, and what can go wrong there.
import { useEffect, useState } from "preact/hooks";
import { store } from "./store.js";

export const siteText = (site) => `${site.kind} ${site.source} → ${site.target || "outside"} ${site.operation}`;

export function FaultPicker({ path, pick, busy }) {
  const [sites, setSites] = useState();
  const [chosen, choose] = useState(0);
  const [forever, setForever] = useState(true);
  useEffect(() => { store.run("sites", { path }).then(setSites); }, [path]);
  const site = sites?.[chosen];
  if (sites?.length === 0) return <p class="none">No fault can act here yet: nothing has passed.</p>;
  if (!site) return null;
  const { kind, source, target, operation } = site;
  return (
    <>
      <label>Site
        <select value={chosen} onChange={(event) => choose(Number(event.target.value))}>
          {sites.map((each, number) => <option key={siteText(each)} value={number}>{siteText(each)}</option>)}
        </select>
      </label>
      <label class="check">
        <input type="checkbox" checked={forever} onChange={(event) => setForever(event.target.checked)} />
        until it is healed
      </label>
      <div class="faults">
        {site.faults.map((fault) => (
          <button type="button" key={fault} disabled={busy} title={saysOf(fault)}
            onClick={() => pick({ fault, kind, source, target, operation, forever })}>
            <b>{fault}</b><small>{saysOf(fault)}</small>
          </button>
        ))}
      </div>
    </>
  );
}

const saysOf = (name) => store.about.faults.find((fault) => fault.name === name)?.says ?? "";
