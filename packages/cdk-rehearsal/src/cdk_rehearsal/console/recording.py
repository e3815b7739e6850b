"""The recording of a rehearsal, in the process that serves the page."""

import itertools
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from cdk_rehearsal.console.map import ApplicationMap

ROWS = (
    *("request", "invocation", "throttle", "published", "execution", "delivery", "dead_letter"),
    *("fault", "discarded", "outbound", "depth", "alarm", "busy", "count"),
)
"""The kinds of rows. AWS calls are left out: most of the records, and of interest in a trace."""
_ROW_OF = {kind: number for number, kind in enumerate(ROWS)}


def has_row(kind: str, what: str | None) -> bool:
    """Whether the page shows a record of a kind; `what` is the detail of an execution."""
    return kind in _ROW_OF and what != "entered"


FINE, FAILED, IGNORED = range(3)
"""The outcome of a row. No filter wants what is ignored."""
_OUTCOMES = {"filtered": IGNORED, "delivered": FINE, "left": FINE}
_WIDTH = 6
"""The numbers of a row: milliseconds since the start, kind, source, target, outcome, event.

A sample has other figures in place of the last two: that of a queue its depth and the age of its
oldest message, that of a function its invocations now and the most that it may have (0: no limit),
that of a metric its sums of successes and failures.
"""
_FOUND = 40
_JOINED = 8
"""The most correlation ids in one trace."""
_CORRELATION = {"correlationid"}
_CAUSATION = {"causationid"}


class _Detail(Struct):
    """The details of a record that rows and traces need."""

    outcome: str | None = None
    error: Any = None
    event: Raw = Raw()
    failed: Sequence[str] = ()
    messages: Sequence[str] = ()
    what: str | None = None
    execution: str | None = None
    status: Any = None
    duration_s: float = 0.0
    request_id: str | None = None
    name: str | None = None
    queued: str | None = None


class _Record(Struct):
    kind: str
    time: float
    source: str
    target: str
    detail: _Detail


class RecordedEvent(Struct):
    """An event, with its identifiers."""

    id: str
    """The id that the bus gave it."""
    type: str
    own_id: str
    """The id in its envelope, if it has one there."""
    correlation: str
    causation: str | None
    subject: str | None
    body: Raw
    keys: frozenset[str]
    """Values by which it can be found."""


class Recording:
    """All records so far: as rows for the map, and by event for traces."""

    def __init__(self, map_: ApplicationMap, start: float) -> None:
        self.map = map_
        self.start = start
        self.names = [(node.path, node.kind) for node in map_.nodes]
        """Paths and kinds by the numbers that rows have. Those after the map's are not on it."""
        self.rows = array("d")
        """All rows, one after the other."""
        self.types: list[str] = []
        """The types of events."""
        self.events: list[RecordedEvent] = []
        self.type_of_event = array("H")
        self._raw: list[bytes] = []
        """The records, as they came."""
        self._record_of_row = array("q")
        self._places = {path: place for place, (path, _) in enumerate(self.names)}
        self._event_places: dict[str, int] = {}
        self._records_of_event: defaultdict[int, list[int]] = defaultdict(list)
        self._records_of_key: defaultdict[str, list[int]] = defaultdict(list)
        """Records by execution, message and request."""
        self._executions: defaultdict[str, dict[str, None]] = defaultdict(dict)
        """Executions by name."""
        self._by_correlation: defaultdict[str, list[int]] = defaultdict(list)
        self._by_key: defaultdict[str, dict[str, None]] = defaultdict(dict)
        """Correlation ids by values."""
        self._decoder = msgspec.json.Decoder(_Record)

    # -- adding ---------------------------------------------------------------------------

    def add(self, line: bytes) -> None:
        """Adds a record of the meter, as JSON."""
        record = self._decoder.decode(line)
        number = len(self._raw)
        self._raw.append(line)
        detail = record.detail
        event = self._event(detail.event) if bytes(detail.event) else -1
        if event >= 0:
            self._records_of_event[event].append(number)
        keys = {*detail.messages, detail.execution, detail.queued, detail.request_id} - {None}
        for key in keys:
            self._records_of_key[str(key)].append(number)
        if detail.execution and len(parts := detail.execution.split(":")) > 7:
            self._executions[parts[7]][detail.execution] = None
        # What is found about the time before the recording is only in traces.
        if has_row(record.kind, detail.what) and record.time >= self.start:
            self._row(
                record.time, record.kind, record.source, record.target, _outcome(record), event
            )
            self._record_of_row.append(number)

    def sample(self, time: float, kind: str, path: str, value: float, more: float) -> None:
        """Adds a sample: of a queue, a function or an alarm's state."""
        self._row(time, kind, path, path, value, more)
        self._record_of_row.append(-1)

    def _row(
        self, time: float, kind: str, source: str, target: str, outcome: float, event: float
    ) -> None:
        milliseconds = round((time - self.start) * 1000)
        ends = (
            self._place(source, "alarm" if kind == "alarm" else source),
            self._place(target, "host" if kind == "outbound" else target),
        )
        self.rows.extend((milliseconds, _ROW_OF[kind], *ends, outcome, event))

    def _place(self, path: str, kind: str) -> int:
        """Returns the number of a path. One that is not on the map is of a kind, or itself one."""
        path = self.map.aliases.get(path, path)
        place = self._places.get(path)
        if place is None:
            place = self._places[path] = len(self.names)
            self.names.append((path, kind))
        return place

    def _event(self, raw: Raw) -> int:
        body = msgspec.json.decode(raw)
        id_ = str(body.get("id") or "") if isinstance(body, dict) else ""
        place = self._event_places.get(id_) if id_ else None
        if place is None:
            place = len(self.events)
            event = _event_of(body, id_ or f"event {place}", Raw(bytes(raw)))
            self._event_places[id_] = place
            self.events.append(event)
            if event.type not in self.types:
                self.types.append(event.type)
            self.type_of_event.append(self.types.index(event.type))
            self._by_correlation[event.correlation].append(place)
            for key in event.keys:
                self._by_key[key][event.correlation] = None
        return place

    # -- reading --------------------------------------------------------------------------

    def after(self, row: int, event: int, most: int) -> tuple[dict[str, Any], int, int]:
        """Returns the rows and events after these, at most so many, and the new places."""
        rows = self.rows[row * _WIDTH : (row + most) * _WIDTH].tolist()
        events = self.type_of_event[event:].tolist()
        batch = {
            "row": row,
            "rows": rows,
            "event": event,
            "events": events,
            "types": self.types,
            "names": self.names[len(self.map.nodes) :],
        }
        return batch, row + len(rows) // _WIDTH, event + len(events)

    @property
    def length(self) -> int:
        """The number of rows."""
        return len(self.rows) // _WIDTH

    def first(self, rows: int) -> bytes:
        """Returns the first rows as numbers of eight bytes, in the order of this machine."""
        return self.rows[: rows * _WIDTH].tobytes()

    def record(self, row: int) -> bytes | None:
        """Returns the record of a row as JSON, or None if it has none."""
        if not 0 <= row < len(self._record_of_row) or self._record_of_row[row] < 0:
            return None
        return self._raw[self._record_of_row[row]]

    def find(self, text: str) -> list[dict[str, Any]]:
        """Returns what a search finds: the correlation ids of events with an id like this."""
        wanted = text.strip()
        if not wanted:
            return []
        found = dict(self._by_key.get(wanted, {}))
        lower = wanted.lower()
        if not found and len(lower) > 1:
            for key, correlations in self._by_key.items():
                if lower in key.lower():
                    found.update(correlations)
                if len(found) > _FOUND:
                    break
        return [self._summary(correlation) for correlation in itertools.islice(found, _FOUND)]

    def latest(self) -> list[dict[str, Any]]:
        """Returns the correlation ids that began last."""
        latest = itertools.islice(reversed(self._by_correlation), _FOUND)
        return [self._summary(correlation) for correlation in latest]

    def _summary(self, correlation: str) -> dict[str, Any]:
        events = [self.events[place] for place in self._by_correlation[correlation]]
        return {
            "correlation": correlation,
            "types": [event.type for event in events],
            "subject": events[0].subject,
            "events": len(events),
        }

    def trace(self, text: str) -> dict[str, Any] | None:
        """Returns the events that a correlation id or another id leads to, and all their steps.

        An order has several correlation ids: one of its own, and others of what follows later.
        """
        known = [text] if text in self._by_correlation else self._by_key.get(text, {})
        correlations = [*itertools.islice(known, _JOINED)]
        places = sorted(place for each in correlations for place in self._by_correlation[each])
        if not places:
            return None
        steps = sorted(self._steps(places), key=lambda step: (step["start"], step["end"]))
        events = [
            {
                "number": place,
                "id": event.own_id,
                "bus_id": event.id,
                "type": event.type,
                "causation": event.causation,
                "subject": event.subject,
                "body": event.body,
            }
            for place in places
            for event in (self.events[place],)
        ]
        return {"correlations": correlations, "events": events, "steps": steps}

    def _steps(self, places: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Yields the steps of events: of deliveries, and of what their messages lead to."""
        keys = self._executions_of(places)
        seen: set[int] = set()
        for place in places:
            for number in self._records_of_event[place]:
                seen.add(number)
                record = self._decoder.decode(self._raw[number])
                if record.detail.queued:
                    keys[record.detail.queued] = place
                yield self._step(number, record, place)
        waiting = [*keys.items()]
        while waiting:
            key, place = waiting.pop()
            for number in self._records_of_key.get(key, ()):
                if number in seen:
                    continue
                seen.add(number)
                record = self._decoder.decode(self._raw[number])
                request = record.detail.request_id
                if record.kind != "delivery" or not request or self._says_more(record):
                    yield self._step(number, record, place)
                if request and request not in keys:
                    keys[request] = place
                    waiting.append((request, place))

    def _says_more(self, delivery: _Record) -> bool:
        """Whether a batch has failed though its invocation has not."""
        if not _outcome(delivery):
            return False
        request = str(delivery.detail.request_id)
        same = (self._decoder.decode(self._raw[n]) for n in self._records_of_key[request])
        return not any(each.kind == "invocation" and each.detail.error for each in same)

    def _executions_of(self, places: Iterable[int]) -> dict[str, int]:
        """Returns the executions that an id in an event names, each with the event.

        A name makes an execution start once, so it often is such an id.
        """
        return {
            arn: place
            for place in reversed([*places])
            for name in self.events[place].keys
            for arn in self._executions.get(name, ())
        }

    def _step(self, number: int, record: _Record, event: int) -> dict[str, Any]:
        detail = record.detail
        return {
            "record": number,
            "event": event,
            "kind": record.kind,
            "start": round((record.time - self.start - detail.duration_s) * 1000, 3),
            "end": round((record.time - self.start) * 1000, 3),
            "source": record.source,
            "target": record.target,
            "outcome": _outcome(record),
            "says": detail.what or detail.outcome or "",
            "error": detail.error,
        }

    def raw(self, number: int) -> bytes | None:
        """Returns a record as JSON, by its number in a step."""
        return self._raw[number] if 0 <= number < len(self._raw) else None


def _outcome(record: _Record) -> int:
    detail = record.detail
    if record.kind in {"dead_letter", "discarded", "throttle", "fault"} or detail.error:
        return FAILED
    if record.kind in {"request", "outbound"}:
        return FAILED if not isinstance(detail.status, int) or detail.status >= 500 else FINE
    if record.kind == "execution":
        if detail.status in {"FAILED", "TIMED_OUT", "ABORTED"}:
            return FAILED
        # Only its start is a row that counts.
        return FINE if detail.what in {"started", "redriven"} else IGNORED
    if record.kind == "delivery":
        return FAILED if detail.failed else _OUTCOMES.get(detail.outcome or "delivered", FAILED)
    return FINE


def _event_of(body: Any, id_: str, raw: Raw) -> RecordedEvent:
    """Reads the identifiers of an event of the bus, whose detail may be a CloudEvent."""
    detail = body.get("detail") if isinstance(body, dict) else None
    detail = detail if isinstance(detail, dict) else {}
    own = str(detail.get("id") or id_)
    correlation = _named(detail, _CORRELATION)
    causation = _named(detail, _CAUSATION)
    subject = detail.get("subject")
    keys = {id_, own, correlation, causation, subject, *_identifiers(detail)}
    return RecordedEvent(
        id=id_,
        type=str(body.get("detail-type", "event")) if isinstance(body, dict) else "event",
        own_id=own,
        correlation=str(correlation or own),
        causation=None if causation is None else str(causation),
        subject=None if subject is None else str(subject),
        body=raw,
        keys=frozenset(str(key) for key in keys if key),
    )


def _named(detail: Mapping[str, Any], names: set[str]) -> Any:
    for key, value in detail.items():
        if key.lower().replace("_", "").replace("-", "") in names:
            return value
    return None


def _identifiers(value: Any, depth: int = 4) -> Iterator[str]:
    """Yields the values in an event whose names end in `id`."""
    if isinstance(value, dict) and depth:
        for key, each in value.items():
            if isinstance(each, str | int) and key.lower().endswith("id"):
                yield str(each)
            else:
                yield from _identifiers(each, depth - 1)
