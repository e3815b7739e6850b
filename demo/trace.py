"""The trace of one order, hop by hop: which event went where, and what came of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from demo.customers import Answer
from demo.story import Story, execution_name, words
from rehearsal import Record

_LOG = "Backbone/EventLog"
"""Every event goes there; that is no news."""


@dataclass(frozen=True)
class Line:
    """One hop at virtual `time` (epoch seconds)."""

    time: float
    source: str
    target: str
    what: str


def trace(records: list[Record], answers: list[Answer], order_id: str) -> list[Line]:
    """The way of the order in the order of time."""
    lines = [_answered(answer) for answer in answers if answer.order_id == order_id]
    checkouts: set[str] = set()
    for record in records:
        event = record.detail.get("event")
        if event and event["detail"]["data"].get("order_id") == order_id:
            if event["detail-type"] == "OrderPlaced.v1":
                checkouts.add(event["detail"]["id"])
            if not record.target.startswith(_LOG):
                lines.append(_event(record, event))
        elif execution_name(record.detail.get("execution") or "") in checkouts:
            lines.extend(_execution(record))
    return sorted(lines, key=lambda line: line.time)


def most_interesting(stories: list[Story]) -> Story | None:
    """The order whose story has the most different steps."""

    def steps(story: Story) -> tuple[int, str]:
        return len({text for _, text in story.steps}), story.name

    return max(stories, key=steps, default=None)


def table_of(story: Story, lines: list[Line]) -> Table:
    """The trace for people; times are seconds since the first line."""
    table = Table(
        title=f"The way of order {story.name} ({story.order_id})",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("seconds", justify="right", style="dim", header_style="dim")
    for column in ("from", "to", "what"):
        table.add_column(column, header_style="dim", overflow="fold")
    start = lines[0].time if lines else 0.0
    for line in lines:
        table.add_row(
            f"{line.time - start:.3f}", _short(line.source), _short(line.target), Text(line.what)
        )
    return table


def _short(path: str) -> str:
    """A construct path as people call the thing: `Orders/Orders/Relay` is the Orders relay."""
    *parents, name = path.split("/")
    if name in {"Relay", "Rule", "Queue", "DeadLetters"}:
        return f"{parents[-1]} {words(name)}"
    return name


def _answered(answer: Answer) -> Line:
    said = f"{answer.status} {answer.code or ''}".strip()
    return Line(answer.time, answer.customer_id, "API", f"{answer.request} → {said}")


def _event(record: Record, event: dict[str, Any]) -> Line:
    what = str(event["detail-type"])
    if record.kind != "published":
        outcome = record.detail.get("outcome") or record.detail.get("condition") or record.kind
        what = f"{what} → {outcome}"
    return Line(record.time, record.source, record.target, what)


def _execution(record: Record) -> Iterator[Line]:
    detail = record.detail
    if record.kind == "invocation":
        error = detail["error"]
        what = "done"
        if error:
            what = f"{words(error['errorType'])}: {error.get('errorMessage', '')}"
        yield Line(record.time, record.source, record.target, what)
    elif detail["what"] == "ended" and not record.target:
        yield Line(record.time, record.source, "", f"execution {str(detail['status']).lower()}")
