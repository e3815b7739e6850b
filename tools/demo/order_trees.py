"""A check of traces: everything that happens to an order is one tree, with each hop once."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console

from cdk_rehearsal import Record, Rehearsal, TracedSpan, Traces, require_destination
from tools.demo.audit import Check
from tools.demo.evidence import Evidence

Work = tuple[str, str]
"""A function, by its path, and the id of an event that it handles."""


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
        return [order_trees(self._traces, records, evidence.orders)] if self._traces else []

    def end(self, console: Console) -> None:
        """Exports what was collected. Raises RehearsalError."""
        if self._traces and self._destination:
            spans = self._traces.export(self._destination)
            console.print(f"{spans:,} spans are in {self._destination}", soft_wrap=True)


_VERBS = {"published": "publish", "delivery": "deliver", "dead_letter": "park"}


class _Hops:
    """What the records of a rehearsal say about orders, without the spans."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.order_of: dict[str, str] = {}
        """Order by event."""
        self.hops: Counter[tuple[str, str, str, str]] = Counter()
        """Event, verb, source and target."""
        self.handled: Counter[Work] = Counter()
        """How often a queue or a workflow has given an event to a function."""
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

    def _read(self, record: Record) -> None:
        detail = record.detail
        if envelope := _envelope(detail.get("event")):
            self._read_event(record, envelope)
        elif record.kind == "delivery" and detail.get("request_id"):
            for message in detail.get("messages", ()):
                if message in self._queued:
                    self._handled(record, self._queued[message])
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
            self.hops[event_id, _VERBS[record.kind], record.source, record.target] += 1

    def _handled(self, record: Record, event_id: str) -> None:
        work = (record.target, event_id)
        self.handled[work] += 1
        self.broken[work] += record.detail["request_id"] in self._failed


def order_trees(traces: Traces, records: Sequence[Record], orders: Collection[str]) -> Check:
    """Compares the spans about orders with the records of the rehearsal since their collection."""
    hops = _Hops(records)
    by_trace = traces.by_trace()
    of_order: defaultdict[str, set[str]] = defaultdict(set)
    for trace_id, spans in by_trace.items():
        for span in spans:
            for order_id in _orders_of(span, hops.order_of, orders):
                of_order[order_id].add(trace_id)
    findings = [
        finding
        for order_id in sorted(orders)
        for finding in _findings(order_id, sorted(of_order[order_id]), by_trace, hops)
    ]
    trees = sum(len(of_order[order_id]) == 1 for order_id in orders)
    return Check("Traces", {"orders": len(orders)}, {"trees": trees}, tuple(findings))


def _findings(
    order_id: str, found: Sequence[str], traces: Mapping[str, list[TracedSpan]], hops: _Hops
) -> Iterator[str]:
    if len(found) != 1:
        yield f"order {order_id} has {len(found)} traces: {', '.join(found) or 'no span'}"
        return
    (trace_id,) = found
    spans = traces[trace_id]
    ids = Counter(span.span_id for span in spans)
    where = f"order {order_id}, trace {trace_id}"
    yield from (f"{where}: span {each} is there {n} times" for each, n in ids.items() if n > 1)
    roots = [span for span in spans if span.parent_id not in ids]
    if [span.name for span in roots] != ["POST /orders"]:
        named = ", ".join(f"{span.name} ({span.path})" for span in roots)
        yield f"{where}: begins {len(roots)} times, with {named}"
    own = {event for event, order in hops.order_of.items() if order == order_id}
    yield from _differences(where, own, spans, hops)


def _differences(
    where: str, own: Collection[str], spans: Iterable[TracedSpan], hops: _Hops
) -> Iterator[str]:
    drawn: Counter[tuple[str, str, str, str]] = Counter()
    worked: Counter[Work] = Counter()
    for span in spans:
        if (event_id := span.event_id) is None or event_id not in own:
            continue
        if span.is_hop:
            places = (str(span.attributes["from"]), str(span.attributes["to"]))
            drawn[event_id, span.name.partition(" ")[0], *places] += 1
        else:
            worked[span.path, event_id] += 1
    for hop, times in _of(own, hops.hops, 0).items():
        if drawn[hop] != times:
            event, verb, source, target = hop
            yield (
                f"{where}: {verb} {event} from {source} to {target} happened {times} times "
                f"and is there {drawn[hop]} times"
            )
    for work in _of(own, hops.handled, 1).keys() | worked.keys():
        times, broken = hops.handled[work], hops.broken[work]
        if not times - broken <= worked[work] <= times:
            function, event = work
            yield (
                f"{where}: {function} handled {event} {times} times, {broken} of them without an "
                f"answer, and has {worked[work]} spans"
            )


def _of(own: Collection[str], counted: Counter[Any], place: int) -> dict[Any, int]:
    return {key: times for key, times in counted.items() if key[place] in own}


def _orders_of(
    span: TracedSpan, order_of: Mapping[str, str], orders: Collection[str]
) -> Iterator[str]:
    subject = span.attributes.get("subject")
    if subject in orders:
        yield str(subject)
    for event in (span.event_id, *span.attributes.get("published", ())):
        if event in order_of and order_of[event] in orders:
            yield order_of[event]


def _envelope(event: object) -> Mapping[str, Any]:
    """Returns the CloudEvent in an event of the bus, or in the input of a workflow, if any."""
    found = event.get("detail") if isinstance(event, dict) else None
    return found if isinstance(found, dict) else {}
