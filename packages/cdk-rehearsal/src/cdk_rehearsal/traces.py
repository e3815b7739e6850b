"""Traces of a rehearsal: the spans that handlers log, and the hops between them, as OTLP."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec
from msgspec import Struct

from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.meter import Record
from cdk_rehearsal.rehearsal import Rehearsal

Context = tuple[str, str]
"""The ids of a trace and of a span in it."""
Kind = Literal["internal", "server", "client", "producer", "consumer"]

_KINDS: Mapping[str, int] = {
    "internal": 1,
    "server": 2,
    "client": 3,
    "producer": 4,
    "consumer": 5,
}
"""Numbers of the kinds in OTLP.
https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto"""

_ATTRIBUTES: Mapping[str, str] = {
    "causation_id": "cloudevents.event_id",
    "cold": "faas.coldstart",
    "error": "error.type",
    "event_type": "cloudevents.event_type",
    "route": "http.route",
    "subject": "cloudevents.event_subject",
}
"""Names of OpenTelemetry's semantic conventions for keys of a record. Others stay as they are.
https://opentelemetry.io/docs/specs/semconv/"""

_OF_THE_SPAN = {
    *("type", "trace_id", "span_id", "parent_id", "name", "kind"),
    *("start", "duration_ms", "links", "service"),
}
_TRACEPARENT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_BAD = {"failed", "parked", "denied"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HERE = {"127.0.0.1", "::1", "localhost"}
_TIMEOUT_S = 30
_BATCH = 100
"""Traces in one request."""


class TracedSpan(Struct, kw_only=True):
    """A span: a unit of work that a handler has logged, or a hop of the rehearsal."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Kind
    start_ns: int
    """Nanoseconds since the epoch, as is `end_ns`."""
    end_ns: int
    service: str
    """The resource whose span it is."""
    path: str
    """The construct path of the function, or of what has delivered."""
    attributes: dict[str, Any]
    links: list[str]
    """Contexts of other spans, as in W3C Trace Context."""
    is_hop: bool = False
    """Whether the rehearsal adds it."""

    @property
    def event_id(self) -> str | None:
        """The id of the event that it is about."""
        found = self.attributes.get("causation_id")
        return None if found is None else str(found)

    @property
    def repetition(self) -> int:
        """How many spans of the same work precede it: 0 for the first."""
        return int(self.attributes.get("repetition", 0))


class Traces:
    """Collects the spans of a rehearsal from now on; to be created within the rehearsal.

    A handler logs a span as a line of JSON with `"type": "span"`, `trace_id`, `span_id`, `name`,
    `kind`, `start` (RFC 3339) and `duration_ms`, and with `parent_id`, `links` (as `traceparent`)
    and any further keys, if it has some. Hops are added for events in the form of CloudEvents
    with a `traceparent`: where they are published, delivered, parked and redriven, and the
    executions that they start.
    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md
    """

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._spans: list[TracedSpan] = []
        self._published: dict[str, TracedSpan] = {}
        """The last publication of each event, by its id."""
        self._queued: dict[str, dict[str, Any]] = {}
        """The event of each message in a queue."""
        self._executions: dict[str, tuple[float, dict[str, Any], Context]] = {}
        """When executions began, with what, and in which context."""
        self._malformed: dict[str, Exception] = {}
        """The first span in another form, by function. Raised later: handlers go on."""
        rehearsal.meter.listen(self._on_record)
        rehearsal._core.log_listeners.append(self._on_line)

    @property
    def spans(self) -> list[TracedSpan]:
        """All spans by time, with the number of each repetition in its attributes.

        Raises RehearsalError if a function has logged one in another form.
        """
        for path, error in self._malformed.items():
            raise RehearsalError(
                f"{path} logs a span in another form ({error!r}): it needs trace_id, span_id, "
                "name, kind, start and duration_ms"
            ) from error
        ordered = sorted(self._spans, key=lambda span: (span.start_ns, span.end_ns))
        seen: Counter[tuple[object, ...]] = Counter()
        for span in ordered:
            if span.event_id is None:
                continue
            same = (span.trace_id, span.path, span.name, span.event_id, span.attributes.get("to"))
            if seen[same]:
                span.attributes["repetition"] = seen[same]
            seen[same] += 1
        return ordered

    def by_trace(self) -> dict[str, list[TracedSpan]]:
        """Returns the spans of each trace by time, by the trace's id."""
        found: defaultdict[str, list[TracedSpan]] = defaultdict(list)
        for span in self.spans:
            found[span.trace_id].append(span)
        return dict(found)

    def export(self, destination: str) -> int:
        """Writes all traces to a file, or sends them to an endpoint of this machine.

        The file has a trace in each line, in the format of OpenTelemetry's file exporter. A URL is
        that of an OTLP receiver, such as `http://127.0.0.1:4318/v1/traces`. To be called after the
        rehearsal, which admits no connection. Returns how many spans there are. Raises
        RehearsalError if that fails, or for another machine.
        https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
        """
        require_destination(destination)
        traces = [*self.by_trace().values()]
        if _is_url(destination):
            for first in range(0, len(traces), _BATCH):
                spans = [span for trace in traces[first : first + _BATCH] for span in trace]
                _send(destination, otlp(spans))
        else:
            with Path(destination).open("wb") as file:
                file.writelines(msgspec.json.encode(otlp(trace)) + b"\n" for trace in traces)
        return sum(map(len, traces))

    # -- collecting -----------------------------------------------------------------------

    def _on_line(self, path: str, text: str) -> None:
        if '"type":"span"' not in text and '"type": "span"' not in text:
            return
        for line in text.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and record.get("type") == "span":
                try:
                    self._spans.append(_logged(path, record))
                except (KeyError, TypeError, ValueError) as error:
                    self._malformed.setdefault(path, error)

    def _on_record(self, record: Record) -> None:
        detail = record.detail
        if record.kind == "execution":
            self._on_execution(record)
        elif (event := detail.get("event")) is not None:
            if detail.get("queued"):
                self._queued[detail["queued"]] = event
            if record.kind in _VERBS and detail.get("outcome") != "filtered":
                self._hop(record, event)
        elif record.kind == "dead_letter":
            for message in detail.get("messages", ()):
                if message in self._queued:
                    self._hop(record, self._queued[message])

    def _hop(self, record: Record, event: Mapping[str, Any]) -> None:
        envelope = _envelope(event)
        if (context := _context(envelope)) is None:
            return
        published = self._published.get(str(envelope.get("id")))
        start = record.time
        if published is not None:
            context = (published.trace_id, published.span_id)
            start = published.end_ns / 1e9
        elif record.kind == "published":
            start = _time_of(envelope, record.time)
        span = self._add(record, context, envelope, start)
        if record.kind == "published":
            self._published[str(envelope.get("id"))] = span

    def _on_execution(self, record: Record) -> None:
        detail = record.detail
        if detail["what"] == "started" and detail.get("input"):
            try:
                envelope = _envelope(json.loads(detail["input"]))
            except ValueError:
                return
            if context := _context(envelope):
                self._executions[detail["execution"]] = (record.time, envelope, context)
        elif detail["what"] == "ended" and detail["execution"] in self._executions:
            start, envelope, context = self._executions[detail["execution"]]
            self._add(record, context, envelope, start)

    def _add(
        self, record: Record, context: Context, envelope: Mapping[str, Any], start: float
    ) -> TracedSpan:
        outcome = str(record.detail.get("outcome") or record.detail.get("condition") or record.kind)
        failed = record.detail.get("status") not in {None, "SUCCEEDED"}
        trace_id, parent_id = context
        name = f"{_VERBS[record.kind]} {envelope.get('type') or 'event'}"
        identity = f"{trace_id} {record.time!r} {name} {record.source} {len(self._spans)}"
        span = TracedSpan(
            trace_id=trace_id,
            span_id=sha256(identity.encode()).hexdigest()[:16],
            parent_id=parent_id,
            name=name,
            kind="producer" if record.kind == "published" else "internal",
            start_ns=_nanoseconds(start),
            end_ns=_nanoseconds(record.time),
            service=record.source.partition("/")[0].lower(),
            path=record.source,
            attributes={
                "outcome": "failed" if failed else outcome,
                "from": record.source,
                "to": record.target,
                "causation_id": str(envelope.get("id")),
                "event_type": str(envelope.get("type")),
                "subject": str(envelope.get("subject")),
                "correlation_id": str(envelope.get("correlationid")),
            },
            links=[],
            is_hop=True,
        )
        self._spans.append(span)
        return span


_VERBS: Mapping[str, str] = {
    "published": "publish",
    "delivery": "deliver",
    "dead_letter": "park",
    "redriven": "redrive",
    "discarded": "discard",
    "execution": "execute workflow of",
}
"""What hops do, by the kinds of their records."""


def otlp(spans: Iterable[TracedSpan]) -> dict[str, Any]:
    """Returns spans as the message TracesData of OTLP, in JSON.

    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    """
    groups: defaultdict[str, defaultdict[str, list[dict[str, Any]]]]
    groups = defaultdict(lambda: defaultdict(list))
    for span in spans:
        groups[span.service][span.path].append(_span(span))
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [_attribute("service.name", service)]},
                "scopeSpans": [
                    {"scope": {"name": path}, "spans": found} for path, found in scopes.items()
                ],
            }
            for service, scopes in groups.items()
        ]
    }


def _span(span: TracedSpan) -> dict[str, Any]:
    outcome = span.attributes.get("outcome")
    status = {"code": 2, "message": str(span.attributes.get("error") or outcome)}
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        **({"parentSpanId": span.parent_id} if span.parent_id else {}),
        "name": span.name,
        "kind": _KINDS[span.kind],
        # 64-bit numbers are strings in the JSON of Protocol Buffers.
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": [
            _attribute(_ATTRIBUTES.get(name, name), value)
            for name, value in span.attributes.items()
        ],
        "links": [
            {"traceId": found[1], "spanId": found[2]}
            for found in map(_TRACEPARENT.fullmatch, span.links)
            if found
        ],
        "status": status if outcome in _BAD or span.attributes.get("error") else {},
    }


def _attribute(name: str, value: object) -> dict[str, Any]:
    return {"key": name, "value": _value(value)}


def _value(value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_value(each) for each in value]}}
        case _:
            return {"stringValue": str(value)}


def _logged(path: str, record: Mapping[str, Any]) -> TracedSpan:
    """Returns the span in a line of a log. Raises KeyError, TypeError or ValueError."""
    kind = record["kind"]
    start = (datetime.fromisoformat(record["start"]) - _EPOCH) // timedelta(microseconds=1)
    return TracedSpan(
        trace_id=_hexadecimal(record["trace_id"], 32),
        span_id=_hexadecimal(record["span_id"], 16),
        parent_id=_hexadecimal(record["parent_id"], 16) if record.get("parent_id") else "",
        name=str(record["name"]),
        kind=kind if kind in _KINDS else "internal",
        start_ns=start * 1000,
        end_ns=start * 1000 + round(record["duration_ms"] * 1_000_000),
        service=str(record.get("service") or path.partition("/")[0].lower()),
        path=path,
        attributes={k: v for k, v in record.items() if k not in _OF_THE_SPAN},
        links=[str(link) for link in record.get("links", ())],
    )


def _hexadecimal(text: str, digits: int) -> str:
    if not re.fullmatch(f"[0-9a-f]{{{digits}}}", text):
        raise ValueError(f"{text!r} is not {digits} hexadecimal digits")
    return text


def _envelope(event: Any) -> dict[str, Any]:
    """Returns the CloudEvent in an event of a bus, or in the input of a workflow."""
    detail = event.get("detail") if isinstance(event, dict) else None
    return detail if isinstance(detail, dict) else {}


def _context(envelope: Mapping[str, Any]) -> Context | None:
    """Returns the ids of the trace and the span that published an event, if it names them."""
    found = _TRACEPARENT.fullmatch(str(envelope.get("traceparent")))
    return (found[1], found[2]) if found else None


def _time_of(envelope: Mapping[str, Any], otherwise: float) -> float:
    try:
        return datetime.fromisoformat(str(envelope.get("time"))).timestamp()
    except ValueError:
        return otherwise


def _nanoseconds(moment: float) -> int:
    return round(moment * 1e6) * 1000


def require_destination(destination: str) -> None:
    """Raises RehearsalError if traces cannot be exported there: call it before a long run."""
    if _is_url(destination):
        if urlsplit(destination).hostname not in _HERE:
            raise RehearsalError(
                f"{destination} is not on this machine, and a rehearsal sends nothing elsewhere: "
                "run a collector here, such as Jaeger, and give http://127.0.0.1:4318/v1/traces"
            )
        return
    file = Path(destination)
    existed = file.exists()
    try:
        file.open("ab").close()
    except OSError as error:
        raise RehearsalError(
            f"{destination} cannot be written: {error.strerror}: name another file"
        ) from error
    if not existed:
        file.unlink()


def _is_url(destination: str) -> bool:
    return destination.startswith(("http://", "https://"))


def _send(url: str, message: Mapping[str, Any]) -> None:
    """Sends a message to an OTLP receiver: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""
    headers = {"content-type": "application/json"}
    request = Request(url, msgspec.json.encode(message), headers)  # noqa: S310 - of this machine
    try:
        with urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
            pass
    except (URLError, OSError) as error:
        raise RehearsalError(
            f"{url} does not take traces: {error}: start an OTLP receiver there, or give a file"
        ) from error
