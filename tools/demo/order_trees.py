"""A check of traces: everything that happens to an order is one tree, with each hop once."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from cdk_rehearsal import Record, Rehearsal, TracedSpan, Traces, require_destination
from tools.demo.audit import Check
from tools.demo.evidence import Evidence

Hop = tuple[str, str, str, str]
"""An event, what happened to it, and from where to where."""
Work = tuple[str, str]
"""A function, by its path, and the id of an event that it handles."""


@dataclass(frozen=True)
class OrderTrees:
    """The traces of some orders, compared with the records of a rehearsal."""

    orders: int
    trees: int
    """Orders without a finding."""
    spans: int
    links: int
    """Spans in the traces of the orders, and links between them and other spans, such as those of
    batches."""
    findings: tuple[str, ...]

    @property
    def check(self) -> Check:
        """The comparison as a check of the audit."""
        return Check("Traces", {"orders": self.orders}, {"trees": self.trees}, self.findings)


class TraceExport:
    """The traces of a run, if they are wanted: at a destination of `Traces.export`."""

    def __init__(self, destination: str | None) -> None:
        """Raises RehearsalError if they cannot be exported there."""
        self._destination = destination
        self._traces: Traces | None = None
        if destination:
            require_destination(destination)

    def begin(self, shop: Rehearsal) -> None:
        """Collects traces from now on."""
        if self._destination:
            self._traces = Traces(shop)

    def checks(self, records: Sequence[Record], evidence: Evidence) -> list[Check]:
        """Returns the checks of the audit about traces."""
        return [order_trees(self._traces, records, evidence.orders).check] if self._traces else []

    def end(self, console: Console) -> None:
        """Exports what was collected. Raises RehearsalError."""
        if self._traces and self._destination:
            spans = self._traces.export(self._destination)
            console.print(f"{spans:,} spans are in {self._destination}", soft_wrap=True)


_VERBS = {
    "published": "publish",
    "delivery": "deliver",
    "dead_letter": "park",
    "redriven": "redrive",
}


class _Expected:
    """What the records of a rehearsal say about orders, without the spans."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.order_of: dict[str, str] = {}
        """Order by event."""
        self.hops: defaultdict[str, Counter[Hop]] = defaultdict(Counter)
        """How often each hop of an event happened, by event."""
        self.handled: defaultdict[str, Counter[Work]] = defaultdict(Counter)
        """How often a queue or a workflow has given an event to a function, by event."""
        self.broken: Counter[Work] = Counter()
        """How often that ended without an answer, and so perhaps without a span."""
        self._queued: dict[str, str] = {}
        """Event by message."""
        self._executions: dict[str, str] = {}
        """Event by execution."""
        self._failed = {
            record.detail["request_id"]
            for record in records
            if record.kind == "invocation" and record.detail["error"]
        }
        for record in records:
            self._read(record)

    def events_of(self, orders: Collection[str]) -> Mapping[str, set[str]]:
        """Returns the events about each order."""
        found: dict[str, set[str]] = {order_id: set() for order_id in orders}
        for event_id, order_id in self.order_of.items():
            if order_id in found:
                found[order_id].add(event_id)
        return found

    def _read(self, record: Record) -> None:
        detail = record.detail
        if envelope := _envelope(detail.get("event")):
            self._read_event(record, envelope)
        elif record.kind == "delivery" and detail.get("request_id"):
            for event_id in self._in_messages(record):
                self._handled(record, event_id)
        elif record.kind == "dead_letter":
            for event_id in self._in_messages(record):
                self._hop(record, event_id)
        elif record.kind == "execution" and detail.get("input"):
            envelope = _envelope(json.loads(detail["input"]))
            self._executions[detail["execution"]] = str(envelope.get("id"))
        elif record.kind == "invocation" and detail.get("execution") in self._executions:
            self._handled(record, self._executions[detail["execution"]])

    def _read_event(self, record: Record, envelope: Mapping[str, Any]) -> None:
        event_id, detail = str(envelope.get("id")), record.detail
        if order_id := envelope.get("data", {}).get("order_id"):
            self.order_of[event_id] = str(order_id)
        if detail.get("queued"):
            self._queued[detail["queued"]] = event_id
        if record.kind in _VERBS and detail.get("outcome") != "filtered":
            self._hop(record, event_id)

    def _in_messages(self, record: Record) -> Iterator[str]:
        """Yields the events in the messages of a batch, if they came from the bus or a topic."""
        for message in record.detail.get("messages", ()):
            if message in self._queued:
                yield self._queued[message]

    def _hop(self, record: Record, event_id: str) -> None:
        hop = (event_id, _VERBS[record.kind], record.source, record.target)
        self.hops[event_id][hop] += 1

    def _handled(self, record: Record, event_id: str) -> None:
        work = (record.target, event_id)
        self.handled[event_id][work] += 1
        self.broken[work] += record.detail["request_id"] in self._failed


def order_trees(traces: Traces, records: Sequence[Record], orders: Collection[str]) -> OrderTrees:
    """Compares the spans about orders with the records of the rehearsal since their collection."""
    expected, by_trace = _Expected(records), traces.by_trace()
    of_order: dict[str, set[str]] = {order_id: set() for order_id in orders}
    for trace_id, spans in by_trace.items():
        for span in spans:
            for order_id in _orders_of(span, expected.order_of):
                if order_id in of_order:
                    of_order[order_id].add(trace_id)
    findings = {
        order_id: [*_findings(order_id, sorted(of_order[order_id]), own, by_trace, expected)]
        for order_id, own in sorted(expected.events_of(orders).items())
    }
    inside = set().union(*of_order.values())
    return OrderTrees(
        orders=len(findings),
        trees=sum(not found for found in findings.values()),
        spans=sum(len(by_trace[each]) for each in inside),
        links=sum(
            not inside.isdisjoint({span.trace_id, _trace_of(link)})
            for spans in by_trace.values()
            for span in spans
            for link in span.links
        ),
        findings=tuple(finding for found in findings.values() for finding in found),
    )


def _findings(
    order_id: str,
    found: Sequence[str],
    own: Collection[str],
    traces: Mapping[str, list[TracedSpan]],
    expected: _Expected,
) -> Iterator[str]:
    if len(found) != 1:
        begins = (f"{each} begins with {_named(traces[each][0])}" for each in found)
        yield f"order {order_id} has {len(found)} traces: {'; '.join(begins) or 'no span'}"
        return
    (trace_id,) = found
    spans = traces[trace_id]
    ids = Counter(span.span_id for span in spans)
    where = f"order {order_id}, trace {trace_id}"
    yield from (f"{where}: span {each} is there {n} times" for each, n in ids.items() if n > 1)
    roots = [span for span in spans if span.parent_id not in ids]
    if [span.name for span in roots] != ["POST /orders"]:
        yield f"{where}: begins {len(roots)} times, with {', '.join(map(_named, roots))}"
    yield from _differences(where, own, spans, expected)


def _trace_of(traceparent: str) -> str:
    """Returns the id of the trace: https://www.w3.org/TR/trace-context/#traceparent-header."""
    return traceparent.split("-")[1]


def _named(span: TracedSpan) -> str:
    """Returns a span's name, the function or hop, and the event."""
    about = f" of event {span.event_id}" if span.event_id else ""
    return f"{span.name} ({span.path}){about}"


def _differences(
    where: str, own: Collection[str], spans: Iterable[TracedSpan], expected: _Expected
) -> Iterator[str]:
    drawn: Counter[Hop] = Counter()
    worked: Counter[Work] = Counter()
    for span in spans:
        if (event_id := span.event_id) is None or event_id not in own:
            continue
        if span.is_hop:
            verb = span.name.partition(" ")[0]
            if verb in _VERBS.values():
                places = (str(span.attributes["from"]), str(span.attributes["to"]))
                drawn[event_id, verb, *places] += 1
        else:
            worked[span.path, event_id] += 1
    hops, handled = _of(own, expected.hops), _of(own, expected.handled)
    for hop in hops.keys() | drawn.keys():
        if drawn[hop] != hops[hop]:
            event, verb, source, target = hop
            yield (
                f"{where}: {verb} {event} from {source} to {target} happened {hops[hop]} times "
                f"and is there {drawn[hop]} times"
            )
    for work in handled.keys() | worked.keys():
        times, broken = handled[work], expected.broken[work]
        if not times - broken <= worked[work] <= times:
            function, event = work
            yield (
                f"{where}: {function} handled {event} {times} times, {broken} of them without an "
                f"answer, and has {worked[work]} spans"
            )


def _of(own: Collection[str], by_event: Mapping[str, Counter[Any]]) -> Counter[Any]:
    """Returns the counts of some events."""
    found: Counter[Any] = Counter()
    for event_id in own:
        found.update(by_event.get(event_id, {}))
    return found


def _orders_of(span: TracedSpan, order_of: Mapping[str, str]) -> Iterator[str]:
    if subject := span.attributes.get("subject"):
        yield str(subject)
    for event in (span.event_id, *span.attributes.get("published", ())):
        if event in order_of:
            yield order_of[event]


def _envelope(event: object) -> Mapping[str, Any]:
    """Returns the CloudEvent in an event of the bus, or in the input of a workflow, if any."""
    found = event.get("detail") if isinstance(event, dict) else None
    return found if isinstance(found, dict) else {}
