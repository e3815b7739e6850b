// The bill: what the rehearsal would have cost on AWS so far, by service and by context.
import { useEffect, useState } from "preact/hooks";
import { Path } from "./map.jsx";
import { command } from "./server.js";
import { durationText, numberText, store, timeText, useStore } from "./store.js";

const REFRESH_MS = 1000;

export function Bill() {
  const { connection } = useStore();
  const [bill, setBill] = useState();
  useEffect(() => {
    let waiting;
    let left = false;
    // The next sums are asked for when the last ones have come: the rehearsal may be busy.
    const load = async () => {
      await command("bill").then(setBill, (error) => store.say(error.message));
      if (!left) waiting = setTimeout(load, REFRESH_MS);
    };
    if (connection === "connected") load();
    return () => { left = true; clearTimeout(waiting); };
  }, [connection]);
  if (!bill) return <p class="lead" role="status">The bill is added up …</p>;
  const since = store.clock((bill.since - store.about.start) * 1000);
  return (
    <div class="bill">
      <p class="lead">
        This would have cost <b class="figure">{usdText(bill.usd)}</b> on AWS so far: {usdText(bill.used)} for
        use, and {usdText(bill.standing)} for resources that cost something by the month, in {durationText(bill.seconds * 1000)}.
      </p>
      <div class="cards">
        <Costs title="By service" groups={bill.services} total={bill.usd} />
        <Costs title="By context" groups={bill.contexts} total={bill.usd} />
      </div>
      <Unpriced bill={bill} />
      <p class="none">
        List prices of {bill.region}, in US dollars, without taxes and the free tier. Counted since {timeText(since)}
        {bill.whole ? ", when the rehearsal began." : ", when this page was first opened: what happened before is not part of it."} Stored
        data count until they expire, or for a year. Handlers have no measured time: an invocation counts 5 ms of a
        whole CPU, and each call of AWS 2.5 ms.
      </p>
    </div>
  );
}

function Costs({ title, groups, total }) {
  return (
    <section class="card" aria-label={title}>
      <h2>{title}</h2>
      <ul class="plain costs">
        {groups.map(({ name, usd, parts }) => (
          <li key={name}>
            <details>
              <summary>
                <span class="what"><Path path={name} /></span>
                <span class="share" aria-hidden="true"><i style={{ width: `${total ? (100 * usd) / total : 0}%` }} /></span>
                <span class="figure">{usdText(usd)}</span>
              </summary>
              <ul class="plain">
                {parts.map((part) => (
                  <li key={part.name}><span class="what">{part.name}</span><span class="figure">{usdText(part.usd)}</span></li>
                ))}
              </ul>
            </details>
          </li>
        ))}
      </ul>
    </section>
  );
}

// Uses without a price are no part of the sum, and what leaves the architecture is none, either.
function Unpriced({ bill }) {
  const uses = Object.entries(bill.unpriced);
  const outside = Object.entries(bill.outside);
  const listed = (entries) => entries.map(([name, units]) => (
    <li key={name}>{name}{units !== undefined && `: ${units >= 1 ? numberText(Math.round(units)) : units.toPrecision(2)}`}</li>
  ));
  return (
    <div class="cards">
      {uses.length + bill.unpriced_resources.length > 0 && (
        <section class="card" aria-label="Without a price">
          <h2>Without a price</h2>
          <p class="none">No page with a price of these is known. They are not in the sum.</p>
          <ul>{listed(uses)}{listed(bill.unpriced_resources.map((name) => [name]))}</ul>
        </section>
      )}
      {outside.length > 0 && (
        <section class="card" aria-label="Outside of the architecture">
          <h2>Outside of the architecture</h2>
          <p class="none">Messages to people, and requests to partners, are counted without a price.</p>
          <ul>{listed(outside)}</ul>
        </section>
      )}
    </div>
  );
}

// Always as many digits after the point, so that figures do not jump.
const usdText = (usd) => `${usd.toLocaleString("en", { minimumFractionDigits: 6, maximumFractionDigits: 6 })} USD`;
