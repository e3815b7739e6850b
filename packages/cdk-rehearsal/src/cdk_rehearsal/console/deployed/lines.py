"""Reads log lines: what they say about invocations, executions, events and requests.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cdk_rehearsal.meter import Record

OUTSIDE = "outside"

_REPORT = re.compile(r"^REPORT RequestId: (?P<id>\S+)\s+Duration: (?P<ms>[\d.]+) ms")
_STATUS = re.compile(r"Status: (?P<status>\w+)(?:\s+Error Type: (?P<error>\S+))?")
_CORRELATION, _CAUSATION = "correlationid", "causationid"
_TYPES = ("eventtype", "detailtype", "type")
_REQUESTS = ("functionrequestid", "awsrequestid", "requestid")
EXECUTIONS: Mapping[str, tuple[str, str]] = {
    "ExecutionStarted": ("started", "RUNNING"),
    "ExecutionRedriven": ("redriven", "RUNNING"),
    "ExecutionSucceeded": ("ended", "SUCCEEDED"),
    "ExecutionFailed": ("ended", "FAILED"),
    "ExecutionTimedOut": ("ended", "TIMED_OUT"),
    "ExecutionAborted": ("ended", "ABORTED"),
}
"""What an event of an execution says.
https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""


@dataclass(frozen=True)
class Writer:
    """The resource that writes to a log group."""

    path: str
    """Its construct path; for events, that of their bus."""
    kind: str
    """Its kind on the map."""
    name: str = ""
    """Its physical name: in a group of several functions, streams have it."""
    source: str = ""
    """What invokes it, if only one thing does."""
    reports: bool = True
    """For a function, whether Lambda logs each invocation. If not, spans of the handler count."""
    access: Mapping[str, str] | None = None
    """For an API, the variables of its access log, by the names in a line."""


class LineReader:
    """Turns log lines into records such as those of a rehearsal."""

    def __init__(self) -> None:
        self._events: dict[str, dict[str, Any]] = {}
        """Events by their own id."""
        self._started: dict[str, float] = {}
        """When executions began."""
        self._work: set[tuple[str, str, str, float]] = set()
        """Units of work that a span has reported."""
        self._traced: set[str] = set()
        """The functions whose invocations are known from spans."""

    def records(self, writer: Writer, time: float, message: str) -> Iterator[Record]:
        """Yields what a line of a writer, logged at a time, says."""
        line = _object(message)
        if writer.kind == "function":
            if line is None:
                yield from _text_report(writer, time, message)
            elif line.get("type") == "platform.report":
                if writer.path not in self._traced or _left_no_span(line):
                    yield from _report(writer, time, line)
            elif "_aws" not in line:
                yield from self._logged(writer, time, line)
                if line.get("type") == "span" and not writer.reports:
                    yield from self._span(writer, time, line)
        elif line is None:
            return
        elif writer.kind == "workflow":
            yield from self._execution(writer, time, line)
        elif writer.kind == "api":
            yield from _request(writer, time, line)
        else:
            yield from self._event(writer, time, line)

    # -- functions ------------------------------------------------------------------------

    def _logged(self, writer: Writer, time: float, line: dict[str, Any]) -> Iterator[Record]:
        """Yields a line that names what the handler is about."""
        names = {_plain(key): value for key, value in line.items()}
        correlation, causation = names.get(_CORRELATION), names.get(_CAUSATION)
        if not correlation:
            return
        own = str(causation or correlation)
        event = self._events.get(own)
        if event is None:
            # No bus logs it. Its other fields are not known.
            named = next((str(names[each]) for each in _TYPES if names.get(each)), "event")
            type_ = named if causation else "request"
            event = _known(own, type_, {"id": own, "correlationid": str(correlation)})
        request = next((str(names[each]) for each in _REQUESTS if names.get(each)), None)
        yield Record(
            "log",
            time,
            writer.path,
            writer.path,
            {
                "event": event,
                "what": str(names.get("message", "")),
                "queued": request,
                "error": _error(names),
                "line": line,
            },
        )

    def _span(self, writer: Writer, time: float, line: dict[str, Any]) -> Iterator[Record]:
        """Yields a unit of work as an invocation, once: it has a line in each trace that it joins.

        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
        """
        milliseconds = float(line.get("duration_ms") or 0)
        work = (writer.path, str(line.get("name")), str(line.get("start")), milliseconds)
        if work in self._work:
            return
        self._work.add(work)
        self._traced.add(writer.path)
        failed = line.get("outcome") == "failed"
        error = {"errorType": str(line.get("error") or "failed")} if failed else None
        yield _invocation(writer, time, str(line.get("span_id")), milliseconds, error)

    # -- workflows ------------------------------------------------------------------------

    def _execution(self, writer: Writer, time: float, line: dict[str, Any]) -> Iterator[Record]:
        if (said := EXECUTIONS.get(str(line.get("type")))) is None:
            return
        what, status = said
        arn = str(line.get("execution_arn"))
        details = line.get("details") or {}
        start = self._started.setdefault(arn, time)
        yield Record(
            "execution",
            time,
            writer.path,
            "",
            {
                "what": what,
                "execution": arn,
                "status": status,
                "error": details.get("error"),
                "cause": details.get("cause"),
                "duration_s": time - start if what == "ended" else 0.0,
            },
        )

    # -- buses ----------------------------------------------------------------------------

    def _event(self, writer: Writer, time: float, line: dict[str, Any]) -> Iterator[Record]:
        """Yields an event that a bus logs: as the bus has it, or only its envelope."""
        detail = line.get("detail")
        if isinstance(detail, dict) and "detail-type" in line:
            event, own = line, str(detail.get("id") or line.get("id"))
        elif {"id", "type", "source"} <= line.keys():
            own = str(line["id"])
            event = _known(own, str(line["type"]), line)
        else:
            return
        self._events[own] = event
        source = str(event.get("source") or OUTSIDE)
        yield Record("published", _time_of(event, time), source, writer.path, {"event": event})


def _known(own: str, type_: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an event of which only the envelope is known."""
    known = {name: detail[name] for name in ("source", "time") if detail.get(name)}
    return {"id": own, "detail-type": type_, **known, "detail": detail}


def _time_of(event: Mapping[str, Any], logged: float) -> float:
    """Returns when an event happened. Its time in the log may be that of a second."""
    text = str(event.get("time") or "")
    try:
        happened = datetime.fromisoformat(text).timestamp()
    except ValueError:
        return logged
    return happened if abs(happened - logged) < 60 else logged


def _report(writer: Writer, time: float, line: Mapping[str, Any]) -> Iterator[Record]:
    """Yields an invocation. Its report has no event.

    https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html#platform-report
    """
    record = line.get("record") or {}
    failed = record.get("status", "success") != "success"
    error = {"errorType": record.get("errorType") or record["status"]} if failed else None
    milliseconds = float((record.get("metrics") or {}).get("durationMs") or 0)
    yield _invocation(writer, time, str(record.get("requestId")), milliseconds, error)


def _left_no_span(line: Mapping[str, Any]) -> bool:
    """Whether the runtime was stopped, so that the handler could log nothing."""
    record = line.get("record") or {}
    error = str(record.get("errorType") or "")
    return record.get("status") == "timeout" or error.startswith(("Runtime.", "Sandbox."))


def _text_report(writer: Writer, time: float, message: str) -> Iterator[Record]:
    if (found := _REPORT.match(message)) is None:
        return
    said = _STATUS.search(message)
    error = {"errorType": said["error"] or said["status"]} if said else None
    yield _invocation(writer, time, found["id"], float(found["ms"]), error)


def _invocation(
    writer: Writer, time: float, request: str, milliseconds: float, error: Any
) -> Record:
    return Record(
        "invocation",
        time,
        writer.source or writer.path,
        writer.path,
        {"request_id": request, "duration_s": milliseconds / 1000, "error": error},
    )


def _request(writer: Writer, time: float, line: Mapping[str, Any]) -> Iterator[Record]:
    """Yields a request, whose line has the names that the access log's format gives.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
    """
    access = writer.access or {}
    values = {variable: line.get(name) for name, variable in access.items()}
    status = str(values.get("status") or "")
    method, _, path = str(values.get("routeKey") or "").partition(" ")
    yield Record(
        "request",
        time,
        OUTSIDE,
        writer.path,
        {
            "method": values.get("httpMethod") or method,
            "path": values.get("path") or path,
            "status": int(status) if status.isdecimal() else None,
            "line": line,
        },
    )


def _error(names: Mapping[str, Any]) -> Any:
    """Returns the error of a line, if it reports one."""
    if str(names.get("level", "")).upper() not in {"ERROR", "CRITICAL", "FATAL"}:
        return None
    kind = names.get("exceptionname") or names.get("errortype") or names.get("message")
    text = names.get("exception") or names.get("errormessage") or names.get("reason")
    return {"errorType": str(kind), "errorMessage": None if text is None else str(text)}


def _object(message: str) -> dict[str, Any] | None:
    try:
        line = json.loads(message)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
