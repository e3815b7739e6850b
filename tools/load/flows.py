"""How work flows from hop to hop, measured in a rehearsal: who causes what, how much, how late.

A stop is a function and what it handles: the type of an event, or nothing for a request.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import fmean, quantiles
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from cdk_rehearsal import Load, Loads, Record, Rehearsal, RehearsalError

Span = tuple[float, float]
"""The shortest and the longest time in seconds, between which all are equally likely."""

_LAMBDA = "AWS::Lambda::Function"
_STREAMS = ("AWS::Kinesis::Stream",)
_SEARCHED_S = 0.002
"""How much the clock of an event, which has whole milliseconds, may differ from a record's."""
_GROUPS = 200
_WRITES = ("TransactWriteItems", "PutItem", "UpdateItem", "BatchWriteItem")
_FEW = 20
"""So many measured times are needed to tell the shortest and longest tenth apart."""


class Stop(NamedTuple):
    """A function, and what it handles."""

    function: str
    what: str = ""


ORDER = Stop("")
"""Where an order begins, in front of the API."""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """What one item at a stop causes at another one."""

    source: Stop
    target: Stop
    items: float
    after_s: Span = (0.0, 0.0)
    """Only from the order: how much later. Elsewhere the services' latency says it."""
    topic: bool = False
    """Whether it also passes a topic, after the bus."""


class Within(msgspec.Struct, frozen=True):
    """What a function waits for, for each item: functions of a workflow, and hosts outside AWS."""

    seconds: float = 0.0
    """Time of those functions."""
    invocations: float = 0.0
    requests: dict[str, float] = {}
    """By host."""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What one order sets in motion."""

    load: Load
    edges: list[Edge]
    routes: dict[str, str]
    """The route of each function that the API invokes, with the path of the API."""
    within: dict[str, Within]
    spread: dict[str, list[float]]
    """By function: durations as multiples of the usual one, all equally likely."""
    confirmed_s: list[float]
    """Percentiles 1 to 99 of the time from an order to its confirmation."""


class _Visit(NamedTuple):
    stop: Stop
    start: float
    end: float


class _Published(NamedTuple):
    stop: Stop
    id: str
    cause: str | None
    time: float
    order: str | None


class Flows:
    """Measures a rehearsal from now on, until ``flow`` is called.

    `confirmed` is the start of the type of the event that ends the latency of an order.
    """

    def __init__(self, rehearsal: Rehearsal, *, confirmed: str) -> None:
        self._loads = Loads(rehearsal)
        self._types = {each.path: each.type for each in rehearsal.resources}
        self._confirmed = confirmed
        self._published: dict[tuple[str, str], _Published] = {}
        self._queued: dict[str, tuple[str, str, bool]] = {}
        self._visits: defaultdict[str, list[_Visit]] = defaultdict(list)
        """By the id of the event that was handled; requests have none."""
        self._last: dict[str, Record] = {}
        self._routes: dict[str, str] = {}
        self._counts: Counter[Stop] = Counter()
        self._streamed: Counter[tuple[Stop, str]] = Counter()
        self._readers: dict[str, str] = {}
        self._starters: dict[str, str] = {}
        self._writes: defaultdict[str, set[str]] = defaultdict(set)
        """The contexts to whose tables a function writes."""
        self._inner: defaultdict[str, list[float]] = defaultdict(list)
        self._inner_of: dict[str, str] = {}
        self._cold: defaultdict[str, float] = defaultdict(float)
        """By execution, the time of cold starts in it."""
        self._ended: dict[str, str] = {}
        """The last execution of each workflow."""
        self._waited: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        """By function, when it has waited for an execution, and the time of cold starts in it."""
        self._slower: defaultdict[str, float] = defaultdict(float)
        """By function, the time of all these cold starts."""
        self._outside: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._sizes: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        rehearsal.meter.listen(self._on_record)

    def flow(self, orders: int) -> Flow:
        """Ends the measurement, and divides it by the number of orders."""
        load = self._warm(self._loads.load(orders))
        causes = {key: self._cause(event) for key, event in self._published.items()}
        began = self._began()
        counts: Counter[tuple[Stop, Stop, bool]] = Counter()
        late: defaultdict[Stop, list[float]] = defaultdict(list)
        for key, event in self._published.items():
            cause = causes[key]
            counts[cause.stop if cause else ORDER, event.stop, False] += 1
            start = began.get(event.order or "")
            if start is not None and (cause is None or not cause.stop.what):
                late[cause.stop if cause else event.stop].append(
                    max(0.0, (cause.start if cause else event.time) - start)
                )
        for id_, detail_type, topic in self._queued.values():
            for visit in self._visits[id_]:
                if visit.stop.what == detail_type and (id_, detail_type) in self._published:
                    relay = self._published[id_, detail_type].stop
                    counts[relay, visit.stop, topic] += 1
            self._visits[id_] = []
        for (relay, stream), items in self._streamed.items():
            if stream in self._readers:
                counts[relay, Stop(self._readers[stream], relay.what), False] += items
        for function in self._routes:
            counts[ORDER, Stop(function), False] = self._counts[Stop(function)]
        edges = [*self._edges(counts, late, orders), *self._direct(load, counts, orders)]
        return Flow(
            load=load,
            edges=sorted(edges, key=lambda edge: (edge.source, edge.target)),
            routes=self._routes,
            within=dict(self._within(load, orders)),
            spread={who: _spread(sizes, load, who) for who, sizes in self._sizes.items()},
            confirmed_s=self._latencies(began),
        )

    def _edges(
        self,
        counts: Counter[tuple[Stop, Stop, bool]],
        late: dict[Stop, list[float]],
        orders: int,
    ) -> Iterator[Edge]:
        for (source, target, topic), number in counts.items():
            whole = orders if source == ORDER else self._counts[source]
            if number and whole:
                yield Edge(
                    source=source,
                    target=target,
                    items=number / whole,
                    after_s=_span(late.get(target, [])) if source == ORDER else (0.0, 0.0),
                    topic=topic,
                )

    def _direct(
        self, load: Load, counts: Counter[tuple[Stop, Stop, bool]], orders: int
    ) -> Iterator[Edge]:
        """Yields what functions write to streams themselves, which no event stands for."""
        for reader in self._readers.values():
            known = sum(n for (_, stop, _), n in counts.items() if stop.function == reader)
            rest = load.batches[reader].items - known / orders if reader in load.batches else 0.0
            if rest > 0:
                yield Edge(source=ORDER, target=Stop(reader), items=rest)

    # -- records --------------------------------------------------------------------------

    def _on_record(self, record: Record) -> None:
        handler = getattr(self, f"_on_{record.kind}", None)
        if handler is not None:
            handler(record)

    def _on_invocation(self, record: Record) -> None:
        source = self._types.get(record.source, "")
        self._last[record.source] = record
        if source == "AWS::StepFunctions::StateMachine":
            self._inner_of[record.target] = record.source
            self._inner[record.source].append(_seconds(record))
            self._cold[record.detail["execution"]] += record.detail["init_s"]
        elif source == "AWS::ApiGatewayV2::Api":
            self._visit(Stop(record.target), "", record)

    def _on_request(self, record: Record) -> None:
        invoked = self._last.get(record.target)
        if invoked is not None and invoked.time == record.time:
            self._routes[invoked.target] = f"{record.target} {record.detail['route']}"

    def _on_outbound(self, record: Record) -> None:
        self._outside[record.source][record.target] += 1

    def _on_execution(self, record: Record) -> None:
        if record.detail["what"] == "ended":
            self._ended[record.source] = record.detail["execution"]

    def _on_call(self, record: Record) -> None:
        if record.detail["operation"] == "StartSyncExecution":
            self._starters[record.target] = record.source
            cold_s = self._cold.pop(self._ended[record.target], 0.0)
            self._waited[record.source].append((record.time, cold_s))
        elif record.detail["operation"] in _WRITES:
            self._writes[record.source].add(_context(record.target))

    def _on_published(self, record: Record) -> None:
        event = record.detail["event"]
        envelope, what = event["detail"], event["detail-type"]
        stop = Stop(record.source, what)
        self._counts[stop] += 1
        self._published[envelope["id"], what] = _Published(
            stop,
            envelope["id"],
            envelope.get("causationid"),
            datetime.fromisoformat(envelope["time"]).timestamp(),
            envelope["data"].get("order_id"),
        )

    def _on_delivery(self, record: Record) -> None:
        detail = record.detail
        if detail["outcome"] != "delivered":
            return
        if (event := detail.get("event")) and self._types.get(record.target) in _STREAMS:
            key = (event["detail"]["id"], event["detail-type"])
            if key in self._published:
                self._streamed[self._published[key].stop, record.target] += 1
        elif event and detail.get("queued"):
            topic = self._types.get(record.source) == "AWS::SNS::Topic"
            self._queued[detail["queued"]] = (event["detail"]["id"], event["detail-type"], topic)
        elif self._types.get(record.target) == _LAMBDA:
            self._handled(record)

    def _handled(self, record: Record) -> None:
        """Notes a batch that a function has handled: the invocation was recorded just before."""
        invoked = self._last.get(record.source)
        if invoked is None or invoked.time != record.time or invoked.target != record.target:
            return
        items: Sequence[str] = record.detail.get("messages") or record.detail.get("records") or ()
        if items:
            seconds = _seconds(invoked) - self._cold_within(invoked, len(items))
            self._sizes[record.target].append((len(items), seconds))
        if "records" in record.detail:
            self._readers[record.source] = record.target
        for message in record.detail.get("messages", ()):
            if message in self._queued:
                id_, what, _ = self._queued[message]
                self._visit(Stop(record.target, what), id_, invoked)

    def _cold_within(self, record: Record, items: int) -> float:
        """Returns the time of cold starts in the executions that an invocation has waited for."""
        start, waited = record.time - record.detail["duration_s"], self._waited[record.target]
        waited[:] = [each for each in waited if each[0] >= start]
        now, waited[:] = waited[:items], waited[items:]
        cold_s = sum(each for _, each in now)
        self._slower[record.target] += cold_s
        return cold_s

    def _warm(self, load: Load) -> Load:
        """Returns what was measured without cold starts in the workflows that a function awaits."""
        batches = {
            function: replace(
                each, item_s=each.item_s - self._slower[function] / (each.items * load.orders)
            )
            for function, each in load.batches.items()
        }
        return replace(load, batches=batches)

    def _visit(self, stop: Stop, id_: str, record: Record) -> None:
        self._counts[stop] += 1
        start = record.time - record.detail["duration_s"]
        self._visits[id_].append(_Visit(stop, start, record.time))

    # -- conclusions ----------------------------------------------------------------------

    def _cause(self, event: _Published) -> _Visit | None:
        """Returns the visit in which an event was committed, None if it is not known.

        Its function handles the cause or a request, and writes to the table of the outbox.
        """
        context = _context(event.stop.function)
        for id_ in (event.cause or "", ""):
            for visit in self._visits.get(id_, ()):
                if visit.start - _SEARCHED_S <= event.time <= visit.end + _SEARCHED_S and any(
                    context in self._writes[each] for each in self._called(visit.stop.function)
                ):
                    return visit
        return None

    def _called(self, function: str) -> list[str]:
        """Returns a function, and those of the workflows that it waits for."""
        machines = [each for each, who in self._starters.items() if who == function]
        return [function, *(each for each, m in self._inner_of.items() if m in machines)]

    def _began(self) -> dict[str, float]:
        """Returns when each order began: at its first event."""
        began: dict[str, float] = {}
        for event in self._published.values():
            if event.order is not None:
                began[event.order] = min(event.time, began.get(event.order, event.time))
        return began

    def _latencies(self, began: dict[str, float]) -> list[float]:
        found = [
            event.time - began[event.order]
            for (_, what), event in self._published.items()
            if what.startswith(self._confirmed) and event.order is not None
        ]
        if len(found) < _FEW:
            raise RehearsalError(
                f"only {len(found)} orders were confirmed: rehearse at least {_FEW} more"
            )
        return [round(each, 4) for each in quantiles(found, n=100)]

    def _within(self, load: Load, orders: int) -> Iterator[tuple[str, Within]]:
        for function, batches in load.batches.items():
            items = batches.items * orders
            machines = [each for each, who in self._starters.items() if who == function]
            inner = [seconds for each in machines for seconds in self._inner[each]]
            called = self._called(function)
            requests = sum((self._outside[each] for each in called), Counter[str]())
            if inner or requests:
                yield (
                    function,
                    Within(
                        sum(inner) / items,
                        len(inner) / items,
                        {host: number / items for host, number in requests.items()},
                    ),
                )


def _seconds(record: Record) -> float:
    """Returns the duration of an invocation without a cold start."""
    return float(record.detail["duration_s"] - record.detail["init_s"])


def _span(times: list[float]) -> Span:
    """Returns the times after which a tenth and nine tenths have come."""
    if len(times) < _FEW:
        return (min(times, default=0.0), max(times, default=0.0))
    tenths = quantiles(times, n=10)
    return (tenths[0], tenths[-1])


def _spread(sizes: list[tuple[int, float]], load: Load, function: str) -> list[float]:
    """Returns durations as multiples of the line of a function's batches: means of equal groups."""
    line = load.batches.get(function)
    if line is None:
        return []
    parts = sorted(seconds / (line.base_s + items * line.item_s) for items, seconds in sizes)
    groups = min(_GROUPS, len(parts))
    bounds = [len(parts) * number // groups for number in range(groups + 1)]
    return [round(fmean(parts[a:b]), 3) for a, b in pairwise(bounds)]


def _context(path: str) -> str:
    return path.partition("/")[0]
