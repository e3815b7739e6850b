"""The trace of one order, hop by hop: which event went where, and what came of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from demo.customers import Answer
from demo.story import Story, execution_name, words
from rehearsal import Record

_TABLE = "/Table"
_SHORT_ID = 8


@dataclass(frozen=True)
class Line:
    """One hop at virtual `time` (epoch seconds)."""

    time: float
    source: str
    target: str
    what: str
    outcome: str = ""


def trace(records: list[Record], answers: list[Answer], order_id: str) -> list[Line]:
    """The way of the order in the order of time."""
    lines = [_answered(answer) for answer in answers if answer.order_id == order_id]
    checkouts = set()
    for record in records:
        event = record.detail.get("event")
        if event and _about(event, order_id):
            if event["detail-type"] == "OrderPlaced.v1":
                checkouts.add(event["detail"]["id"])
            lines.append(_event(record, event))
        elif execution_name(record.detail.get("execution") or "") in checkouts:
            lines.extend(_execution(record))
    return sorted(lines, key=lambda line: line.time)


def most_interesting(stories: list[Story]) -> Story | None:
    """The order whose story has the most steps."""
    return max(stories, key=lambda story: (len(set(story.steps)), story.name), default=None)
