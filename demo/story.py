"""The story of each order: what became of it, step by step, out of the records."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from demo.customers import Answer
from rehearsal import Record

ENDS = {
    "OrderConfirmed.v1": "confirmed",
    "OrderRejected.v1": "rejected",
    "OrderCancelled.v1": "cancelled",
}
"""The status to which an event brings its order."""

_LARGE = 90
_NEXT_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass
class Story:
    """One order, as it went; `name` is the customer's id for it, `order_id` the shop's."""

    order_id: str
    name: str
    status: str = "placed"
    unusual: bool = False
    """Whether it went another way than most."""
    began: float | None = None
    """When it was placed, in virtual time (epoch seconds)."""
    changed: float = 0.0
    """When it came to its present status."""
    steps: list[tuple[float, str]] = field(default_factory=list)
    """What happened, and when."""

    @property
    def seconds(self) -> float:
        """Virtual seconds from the placing of the order to its present status."""
        return self.changed - (self.changed if self.began is None else self.began)

    def text(self) -> str:
        """The steps in the order of their times, on one line."""
        return " → ".join(_told(text for _, text in sorted(self.steps)))


class Stories:
    """All stories, by the shop's order ids."""

    def __init__(self, names: dict[str, str]) -> None:
        """`names` are the customers' ids of orders, by the shop's."""
        self._names = names
        self._checkouts: dict[str, str] = {}
        self.by_order: dict[str, Story] = {}
        self.statuses: Counter[str] = Counter()
        """How many orders are in each status now."""
        self.turns: list[Story] = []
        """Orders as they came to a status that may be their last."""

    def heard(self, answer: Answer) -> None:
        """Takes an answer of the API."""
        story = self._story(answer.order_id)
        if answer.request != "POST":
            return
        if answer.status >= 400:
            code = answer.code or str(answer.status)
            story.steps.append((answer.time, f"refused ({_spaced(code)})"))
            story.unusual = True
            if story.began is None:
                self._turn(story, "refused", answer.time)
        elif story.began is not None:
            story.unusual = True

    def seen(self, record: Record) -> None:
        """Takes a record of the rehearsal; most tell nothing about an order."""
        if record.kind == "published":
            self._published(record.detail["event"])
        elif record.kind == "invocation" and record.detail["error"]:
            order_id = self._checkouts.get(execution_name(record.detail.get("execution", "")))
            if order_id:
                story = self._story(order_id)
                story.steps.append((record.time, words(record.detail["error"]["errorType"])))
                story.unusual = True

    def _published(self, event: dict[str, Any]) -> None:
        envelope = event["detail"]
        data = envelope["data"]
        if "order_id" not in data:
            return
        type_ = event["detail-type"]
        time = datetime.fromisoformat(envelope["time"]).timestamp()
        story = self._story(data["order_id"])
        text = words(type_.partition(".")[0]).removeprefix("order ")
        reason = f" ({_spaced(data['reason'])})" if "reason" in data else ""
        story.steps.append((time, text + reason))
        if type_ == "OrderPlaced.v1":
            self._checkouts[envelope["id"]] = story.order_id
            story.began = time
            story.unusual |= len(data["lines"]) >= _LARGE
            self.statuses["placed"] += 1
        elif type_ in ENDS:
            story.unusual |= ENDS[type_] != "confirmed"
            self._turn(story, ENDS[type_], time)

    def _turn(self, story: Story, status: str, time: float) -> None:
        if story.began is not None:
            self.statuses[story.status] -= 1
        self.statuses[status] += 1
        story.status = status
        story.changed = time
        self.turns.append(story)

    def _story(self, order_id: str) -> Story:
        if order_id not in self.by_order:
            self.by_order[order_id] = Story(order_id, self._names.get(order_id, order_id))
        return self.by_order[order_id]


def words(name: str) -> str:
    """A name in camel case as words: `StockReserved` is `stock reserved`."""
    return _NEXT_WORD.sub(" ", name).lower()


def _spaced(code: str) -> str:
    return code.replace("_", " ")


def execution_name(arn: str) -> str:
    """The name in the ARN of an Express execution, which is the id of the event that it handles.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-standard-vs-express.html
    """
    parts = arn.split(":")
    return parts[7] if len(parts) > 7 else ""


def _told(texts: Iterable[str]) -> Iterator[str]:
    """Steps with those that repeat each other counted."""
    for text, same in groupby(texts):
        times = len(list(same))
        yield text if times == 1 else f"{text}, {times} times"
