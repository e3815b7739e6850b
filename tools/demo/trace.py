"""The trace of one order, hop by hop: which event went where, and what came of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from cdk_rehearsal import Record
from tools.demo.console import grid
from tools.demo.customers import Answer
from tools.demo.story import Story, execution_name, words

_EVERYTHING = ("Backbone/EventLog", "Analytics/")
"""Every event goes there; that is no news."""
_FILTERED = "nowhere"
"""Where messages end that no channel is for."""


@dataclass(frozen=True)
class Line:
    """One hop at virtual `time` (epoch seconds)."""

    time: float
    source: str
    target: str
    what: str
    good: bool = True


def trace(records: list[Record], answers: list[Answer], order_id: str) -> list[Line]:
    """The way of the order in the order of time."""
    lines = [_answered(answer) for answer in answers if answer.order_id == order_id]
    checkouts: set[str] = set()
    attempts: Counter[str] = Counter()
    for record in records:
        event = record.detail.get("event")
        if event and event["detail"]["data"].get("order_id") == order_id:
            if event["detail-type"] == "OrderPlaced.v1":
                checkouts.add(event["detail"]["id"])
            if not record.target.startswith((*_EVERYTHING, _FILTERED)):
                lines.append(_event(record, event))
        elif execution_name(record.detail.get("execution") or "") in checkouts:
            lines.extend(_execution(record, attempts))
    return sorted(lines, key=lambda line: line.time)


def most_interesting(stories: list[Story]) -> Story | None:
    """The order to which most happened: of all that are alike, the first."""
    by_name = sorted(stories, key=lambda story: story.name)
    return max(by_name, key=lambda story: len(story.steps), default=None)


def table_of(story: Story, lines: list[Line]) -> Table:
    """The trace for people, with virtual times."""
    title = f"The way of order {story.name} ({story.order_id})"
    table = grid(title, "time", "from", "to", "result")
    for line in lines:
        table.add_row(
            Text(datetime.fromtimestamp(line.time, UTC).strftime("%H:%M:%S.%f")[:-3], "dim"),
            _short(line.source),
            _short(line.target),
            Text(line.what, "" if line.good else "yellow"),
        )
    return table


def _short(path: str) -> str:
    """A construct path as people call the thing: `Orders/Orders/Relay` is the Orders relay."""
    *parents, name = path.split("/")
    if parents and name in {"Relay", "Rule", "Queue", "DeadLetters"}:
        return f"{parents[-1]} {words(name)}"
    return name


def _answered(answer: Answer) -> Line:
    said = f"{answer.request}: {answer.status} {answer.code or ''}".strip()
    return Line(answer.time, answer.customer_id, "API", said, answer.status < 400)


def _event(record: Record, event: dict[str, Any]) -> Line:
    what = str(event["detail-type"])
    good = True
    if record.kind != "published":
        outcome = record.detail.get("outcome") or record.detail.get("condition") or record.kind
        good = outcome == "delivered"
        what = f"{what} {outcome}"
    return Line(record.time, record.source, record.target, what, good)


def _execution(record: Record, attempts: Counter[str]) -> Iterator[Line]:
    detail = record.detail
    if record.kind == "invocation":
        attempts[record.target] += 1
        again = f", try {attempts[record.target]}" if attempts[record.target] > 1 else ""
        error = detail["error"]
        what = words(error["errorType"]) if error else "done"
        yield Line(record.time, record.source, record.target, what + again, not error)
    elif detail["what"] == "started":
        yield Line(record.time, "RunCheckout", record.source, "execution started")
    elif detail["what"] == "ended":
        what = f"execution {str(detail['status']).lower()}"
        good = detail["status"] == "SUCCEEDED"
        yield Line(record.time, record.source, "RunCheckout", what, good)
