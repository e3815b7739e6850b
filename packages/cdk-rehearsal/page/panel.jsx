// What is known about a node: figures, faults that can be injected, recent traffic, log, alarms.
import { useEffect, useState } from "preact/hooks";
import { Executions, Settings } from "./deployed.jsx";
import { FaultPicker, siteText } from "./faults.jsx";
import { Icon } from "./map.jsx";
import { FAILED } from "./recording.js";
import { ask, command } from "./server.js";
import { durationText, numberText, store, timeText, to, useStore } from "./store.js";

const RECENT = 12;

export function Panel({ place, close }) {
  const { about, head, recording, status } = useStore();
  const node = recording.nodes[place];
  const links = about.map.links.filter((link) => link.source === place || link.target === place);
  const alarms = [...new Set(links.flatMap((link) => link.alarms))];
  useEffect(() => {
    const escape = (event) => event.key === "Escape" && close();
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, []);
  const isQueue = node.kind === "queue";
  const depth = head.depth[place];
  return (
    <aside class="panel" aria-label={`About ${node.path}`}>
      <div class="head">
        <Icon kind={node.dead ? "dead" : node.kind} />
        <div>
          <h2>{node.name}</h2>
          <small>{node.dead ? "dead-letter queue" : node.kind} · {node.path}</small>
          <PageLink of={[node.path]}>Its page in the catalogue</PageLink>
        </div>
        <button type="button" class="quiet" aria-label="Close" onClick={close}>✕</button>
      </div>
      <dl class="facts">
        <Fact name={isQueue ? "received" : "count"} value={numberText(head.count[place])} />
        <Fact name="failed" value={numberText(head.failed[place])} />
        {isQueue && <Fact name="messages now" value={numberText(depth)} />}
        {node.kind === "function" && depth > 0 && (
          <Fact name="invocations now" value={`${depth}${head.age[place] ? ` of ${head.age[place]}` : ""}`} />
        )}
        {isQueue && depth > 0 && (
          <Fact name="oldest waits for" value={durationText(head.time - head.age[place])} />
        )}
      </dl>
      {node.dead && <p><a class="button" href={to("letters", node.path)}>Look at the messages</a></p>}
      {links.some((link) => link.site) && (
        <section>
          <h3>Edges</h3>
          <ul class="plain">
            {links.filter((link) => link.site).map((link) => (
              <li key={link.site.join()}>
                <b>{link.kind}</b> {recording.nodes[link.source].name} → {recording.nodes[link.target].name}
                <small>{link.retries ? `retries: ${link.retries}` : "no limit of retries"}
                  {link.parking && `; parks in ${link.parking}`}{" "}
                  <PageLink of={[...link.site, recording.nodes[link.target].path, recording.nodes[link.source].path]}>catalogue</PageLink></small>
              </li>
            ))}
          </ul>
        </section>
      )}
      {about.deployed && node.kind === "function" && <Settings key={node.path} path={node.path} />}
      {about.deployed && node.kind === "workflow" && <Executions key={node.path} path={node.path} />}
      {!about.deployed && <Break key={node.path} path={node.path} faults={status.faults} />}
      <Recent place={place} />
      {alarms.length > 0 && (
        <section>
          <h3>Alarms</h3>
          <ul class="plain">
            {alarms.map((path) => (
              <li key={path}>
                {[...head.ringing.keys()].some((each) => recording.nodes[each].path === path) ? "✕ in alarm: " : ""}
                <a href={to("alarms", path)}>{path}</a>
              </li>
            ))}
          </ul>
        </section>
      )}
      {node.kind === "function" && <Logs key={node.path} path={node.path} />}
    </aside>
  );
}

// A link to the first of these that has a page, or the command that builds the pages.
function PageLink({ of, children }) {
  const { pages, build } = store.about;
  const page = of.map((path) => pages[path]).find(Boolean);
  if (page) return <a href={`site/${page}`} target="_blank" rel="noopener">{children}</a>;
  return build && of.length === 1 && !Object.keys(pages).length ? <small>{children}: <code>{build}</code> builds it</small> : null;
}

function Fact({ name, value }) {
  return <div><dt>{name}</dt><dd>{value}</dd></div>;
}

function Break({ path, faults }) {
  const [open, setOpen] = useState(false);
  const here = faults.filter((fault) => fault.source === path || fault.target === path);
  return (
    <section>
      <h3>Break it</h3>
      {here.map((fault) => (
        <p class="active" key={fault.number}>
          ⚡ {fault.name} at {siteText(fault)}{" "}
          <button type="button" onClick={() => store.run("heal", { number: fault.number }, `${fault.name} is healed`)}>
            Heal
          </button>
        </p>
      ))}
      {!open && <button type="button" onClick={() => setOpen(true)}>Show faults</button>}{" "}
      <a class="button" href={to("whatif", path)}>What if …</a>
      {open && <FaultPicker path={path} pick={(fault) => store.run("inject", fault)} />}
    </section>
  );
}

function Recent({ place }) {
  const { head, recording } = useStore();
  const [open, setOpen] = useState();
  const rows = [...recording.about(place, head.next, RECENT)];
  const show = async (row) => setOpen({ row: row.place, body: await ask(`row/${row.place}`) });
  return (
    <section>
      <h3>Recent traffic</h3>
      {!rows.length && <p class="none">Nothing yet.</p>}
      <ol class="recent">
        {rows.map((row) => (
          <li key={row.place} class={row.outcome === FAILED ? "bad" : ""}>
            <button type="button" onClick={() => show(row)}>
              <time>{timeText(store.clock(row.time))}</time>
              <span>{row.outcome === FAILED ? "✕ " : ""}{recording.typeOf(row) ?? row.kind}
                {" "}{recording.nodes[row.source].name} → {recording.nodes[row.target].name}</span>
            </button>
            {open?.row === row.place && <Payload body={open.body} />}
          </li>
        ))}
      </ol>
    </section>
  );
}

export function Payload({ body }) {
  const event = body?.detail?.event?.detail;
  return (
    <>
      {event?.id && <a href={to("trace", event.id)}>Trace</a>}
      <pre tabindex="0">{JSON.stringify(body, null, 2)}</pre>
    </>
  );
}

function Logs({ path }) {
  const [text, setText] = useState();
  const load = () => command("logs", { path }).then(setText, (error) => store.say(error.message));
  return (
    <section>
      <h3>Log</h3>
      <button type="button" onClick={load}>{text === undefined ? "Show the last lines" : "Read again"}</button>
      {text !== undefined && <pre tabindex="0" class="log">{text || "The function has logged nothing."}</pre>}
    </section>
  );
}
