"""The trace of one order: the route of each event, hop by hop, and its result."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from cdk_rehearsal import Record
from tools.demo.console import grid
from tools.demo.customers import ApiAnswer
from tools.demo.timeline import OrderTimeline, execution_name, words

_HIDDEN = ("Backbone/EventLog", "Analytics/", "nowhere")
"""Targets of every event, and the target of messages that no filter matches."""


@dataclass(frozen=True)
class TraceLine:
    """One hop at virtual `time` (epoch seconds)."""

    time: float
    source: str
    target: str
    result: str
    good: bool = True


def trace(records: Sequence[Record], answers: list[ApiAnswer], order_id: str) -> list[TraceLine]:
    """Returns the hops of an order by time."""
    lines = [_answered(answer) for answer in answers if answer.order_id == order_id]
    checkouts: set[str] = set()
    attempts: Counter[str] = Counter()
    for record in records:
        event = record.detail.get("event")
        if event and event["detail"]["data"].get("order_id") == order_id:
            if event["detail-type"] == "OrderPlaced.v2":
                checkouts.add(event["detail"]["id"])
            if not record.target.startswith(_HIDDEN):
                lines.append(_event(record, event))
        elif execution_name(record.detail.get("execution") or "") in checkouts:
            lines.extend(_execution(record, attempts))
    return sorted(lines, key=lambda line: line.time)


def most_interesting(timelines: list[OrderTimeline]) -> OrderTimeline | None:
    """Returns the order with most steps; the first by name if there are several."""
    by_name = sorted(timelines, key=lambda timeline: timeline.name)
    return max(by_name, key=lambda timeline: len(timeline.steps), default=None)


def trace_table(timeline: OrderTimeline, lines: list[TraceLine]) -> Table:
    """Returns the trace as a table with virtual times."""
    title = f"Trace of order {timeline.name} ({timeline.order_id})"
    table = grid(title, "time", "from", "to", "result")
    for line in lines:
        table.add_row(
            Text(datetime.fromtimestamp(line.time, UTC).strftime("%H:%M:%S.%f")[:-3], "dim"),
            _short(line.source),
            _short(line.target),
            Text(line.result, "" if line.good else "yellow"),
        )
    return table


def _short(path: str) -> str:
    """Returns a short name for a path: `Orders/Orders/Relay` becomes `Orders relay`."""
    *parents, name = path.split("/")
    if parents and name in {"Relay", "Rule", "Queue", "DeadLetters", "Group"}:
        return f"{parents[-1]} {words(name)}"
    return name


def _answered(answer: ApiAnswer) -> TraceLine:
    result = f"{answer.request}: {answer.status} {answer.code or ''}".strip()
    return TraceLine(answer.time, answer.customer_id, "API", result, answer.status < 400)


def _event(record: Record, event: dict[str, Any]) -> TraceLine:
    result = str(event["detail-type"])
    good = True
    if record.kind != "published":
        outcome = record.detail.get("outcome") or record.detail.get("condition") or record.kind
        good = outcome == "delivered"
        result = f"{result} {outcome}"
    return TraceLine(record.time, record.source, record.target, result, good)


def _execution(record: Record, attempts: Counter[str]) -> Iterator[TraceLine]:
    detail = record.detail
    if record.kind == "invocation":
        attempts[record.target] += 1
        again = f", try {attempts[record.target]}" if attempts[record.target] > 1 else ""
        error = detail["error"]
        result = words(error["errorType"]) if error else "done"
        yield TraceLine(record.time, record.source, record.target, result + again, not error)
    elif detail["what"] == "started":
        yield TraceLine(record.time, "RunCheckout", record.source, "execution started")
    elif detail["what"] == "ended":
        result = f"execution {str(detail['status']).lower()}"
        good = detail["status"] == "SUCCEEDED"
        yield TraceLine(record.time, record.source, "RunCheckout", result, good)
