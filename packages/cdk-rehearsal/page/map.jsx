// The map: a card for each stack, its nodes in the order in which messages pass them.
import { Component } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { durationText, numberText, stackName, to, useStore } from "./store.js";
import { Travels } from "./travels.js";

const ICONS = {
  function: "M4 13 8 5M6 2c3 0 3 11 6 11",
  queue: "M2 4h12M2 8h12M2 12h12",
  topic: "M8 14V8M8 8 3 3M8 8l5-5M8 8V2",
  stream: "M2 5c3-3 5 3 8 0 2-2 3-1 4 0M2 11c3-3 5 3 8 0 2-2 3-1 4 0",
  table: "M2 3h12v10H2zM2 7h12M7 3v10",
  workflow: "M3 2h4v4H3zM9 10h4v4H9zM5 6v6h4",
  bus: "M1 8h14M4 8V4M8 8v4M12 8V4",
  api: "M2 5h10l-3-3M14 11H4l3 3",
  bucket: "M3 4h10l-1 10H4zM2 4h12",
  schedule: "M8 2a6 6 0 1 0 .01 0M8 5v3l2 2",
  host: "M8 2a6 6 0 1 0 .01 0M2 8h12M8 2c-4 4-4 8 0 12M8 2c4 4 4 8 0 12",
  outside: "M8 2a3 3 0 1 0 .01 0M3 14c0-6 10-6 10 0",
  bell: "M3 12h10c-2-2-1-8-5-8s-3 6-5 8M7 14h2M8 2v2",
  play: "M4 3v10l9-5z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  step: "M3 3v10l7-5zM11 3h2v10h-2z",
  dead: "M8 2 15 14H1zM8 6v4M8 12v.5",
};

export function Icon({ kind }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={ICONS[kind] ?? "M3 3h10v10H3z"} />
    </svg>
  );
}

// A path that may be broken after each of its parts.
export function Path({ path }) {
  return path.split("/").map((part, number) => (number ? [<>/<wbr /></>, part] : part));
}

export function hueOf(map, group) {
  const place = map.groups.findIndex((each) => each.name === group);
  return place < 0 ? undefined : Math.round((place * 360) / map.groups.length + 20) % 360;
}

export function MapView({ chosen, choose }) {
  const { about, head, recording, status, moving } = useStore();
  const frame = useRef();
  const canvas = useRef();
  const travels = useRef();
  useEffect(() => {
    const drawn = new Travels(canvas.current, frame.current, recording, about.map.links);
    travels.current = drawn;
    const find = () => {
      frame.current.querySelectorAll("[data-node]").forEach((element) => {
        drawn.elements.set(Number(element.dataset.node), element);
      });
      drawn.colour();
    };
    drawn.find = find;
    find();
    const show = (row) => drawn.show(row);
    moving.add(show);
    return () => { moving.delete(show); drawn.stop(); };
  }, []);
  useEffect(() => travels.current.find(), [recording.nodes.length]);
  useEffect(() => { travels.current.chosen = chosen; }, [chosen]);
  const faulty = new Set(status.faults.flatMap((fault) => [fault.target, fault.source]));
  const stopped = new Set((status.disabled ?? []).map((mapping) => mapping.function));
  const ringing = new Set();
  for (const alarm of head.ringing.keys()) ringing.add(recording.nodes[alarm].path);
  const node = (place, options) => {
    const each = recording.nodes[place];
    const [count, failed, depth] = [head.count[place], head.failed[place], head.depth[place]];
    const waits = depth > 0 && each.kind === "queue" && !each.dead;
    return (
      <Node key={place} {...{ place, node: each, choose, count, failed, depth, ...options }}
        chosen={chosen === place} faulty={faulty.has(each.path)} stopped={stopped.has(each.path)} hue={hueOf(about.map, each.group)}
        waiting={waits ? durationText(Math.max(0, head.time - head.age[place])) : ""} />
    );
  };
  const added = recording.nodes.map((each, place) => [each, place]).slice(recording.known);
  const around = added.filter(([each]) => each.kind === "outside" || each.kind === "host");
  return (
    <div class="map" ref={frame}>
      <canvas ref={canvas} aria-hidden="true" />
      <section class="strip" aria-label="Shared by all stacks">
        {around.filter(([each]) => each.kind === "outside").map(([, place]) => node(place))}
        {about.map.shared.map((place) => node(place))}
        {around.filter(([each]) => each.kind === "host").map(([, place]) => node(place))}
      </section>
      <div class="groups">
        {about.map.groups.map((group) => (
          <Stack key={group.name} {...{ group, node, recording, hue: hueOf(about.map, group.name) }}
            alarms={[...ringing].filter((path) => path.startsWith(`${group.name}/`))} />
        ))}
      </div>
    </div>
  );
}

// Kinds that pass nothing on by themselves.
const COUNTLESS = ["table", "schedule", "bucket", "outside"];

function Count({ value, hidden }) {
  if (hidden && !value) return null;
  return <span class="number">{value ? numberText(value) : "·"}</span>;
}

function Stack({ group, node, recording, hue, alarms }) {
  const chains = group.lanes.filter((lane) => lane.nodes.length > 1 || (lane.nodes.length && lane.dead.length));
  const loose = group.lanes.filter((lane) => !lane.nodes.length).flatMap((lane) => lane.dead);
  const single = group.lanes.filter((lane) => lane.nodes.length === 1 && !lane.dead.length);
  return (
    <section class="stack ctx" style={{ "--hue": hue }} aria-labelledby={`stack-${group.name}`}>
      <h2 id={`stack-${group.name}`}>
        {stackName(group.name)}
        {alarms.length > 0 && (
          <a class="alarm" href={to("alarms")} title={alarms.join(", ")}>
            <Icon kind="bell" /> {alarms.length} {alarms.length === 1 ? "alarm" : "alarms"}
          </a>
        )}
      </h2>
      {chains.map((lane) => (
        <div class="lane" key={lane.nodes[0]}>
          {lane.nodes.map((place, number) => {
            const { kind } = recording.nodes[place];
            const last = number === lane.nodes.length - 1;
            const long = lane.nodes.length > 2;
            const short = (kind === "queue" && !last) || (long && kind !== "function");
            return node(place, { short });
          })}
          {lane.dead.map((place) => node(place, { short: true }))}
        </div>
      ))}
      <div class="singles">
        {single.map((lane) => node(lane.nodes[0]))}
        {loose.map((place) => node(place, { short: true }))}
      </div>
    </section>
  );
}

// A component that is drawn only if a property has changed.
function memo(draw) {
  return class extends Component {
    shouldComponentUpdate(next) {
      return Object.keys({ ...next, ...this.props }).some((name) => next[name] !== this.props[name]);
    }
    render(properties) {
      return draw(properties);
    }
  };
}

const Node = memo(({ place, node, choose, chosen, short, faulty, stopped, hue, count, failed, depth, waiting }) => {
  const isQueue = node.kind === "queue";
  const classes = ["node", node.dead ? "dead" : node.kind, short && "short"];
  if (hue !== undefined) classes.push("ctx");
  if (!count && !depth) classes.push("unused");
  if (depth && node.dead) classes.push("parked");
  return (
    <button type="button" class={classes.filter(Boolean).join(" ")} data-node={place}
      style={hue === undefined ? undefined : { "--hue": hue }} title={node.path}
      aria-pressed={chosen} onClick={() => choose(chosen ? undefined : place)}>
      <Icon kind={node.dead ? "dead" : node.kind} />
      <span class="hidden">{node.dead ? "dead-letter queue" : node.kind} </span>
      <span class={short ? "hidden" : "name"}>{node.name}</span>{" "}
      {node.kind === "function" && depth > 0 && (
        <span class="busy" title={`${depth} invocations at once`}>×{depth}<span class="hidden"> at once </span></span>
      )}
      {stopped && <span class="fault"><Icon kind="pause" /><span class="hidden"> reads nothing </span></span>}
      {faulty && <span class="fault">⚡<span class="hidden"> with a fault </span></span>}
      {failed > 0 && !isQueue && (
        <span class="failed">✕{numberText(failed)}<span class="hidden"> failed </span></span>
      )}
      <Count value={isQueue ? depth : count} hidden={node.dead || COUNTLESS.includes(node.kind)} />
      {isQueue && <span class="hidden"> messages</span>}
      {waiting && <span class="hidden">, the oldest waits for {waiting}</span>}
    </button>
  );
});
