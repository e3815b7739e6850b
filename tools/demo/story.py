"""The story of each order: what became of it, step by step, out of the records."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from cdk_rehearsal import Record
from tools.demo.customers import Answer

ENDS = {
    "OrderConfirmed.v1": "confirmed",
    "OrderRejected.v2": "rejected",
    "OrderCancelled.v1": "cancelled",
    "OrderExpired.v1": "expired",
    "OrderDelivered.v1": "delivered",
    "OrderReturned.v1": "returned",
}
"""The status to which an event brings its order."""

_UNTOLD = {"NotificationRequested.v1", "OrderShipped.v1", "ReturnDecided.v1"}
"""Events that say nothing new about an order: others come right before or after them."""

_LARGE = 90
_NEXT_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass
class Story:
    """One order, as it went; `name` is the customer's id for it, `order_id` the shop's."""

    order_id: str
    name: str
    status: str | None = None
    """`placed`, `refused` or one of the ends; None until something is known."""
    answered: bool = False
    unusual: bool = False
    """Whether it went another way than most."""
    began: float | None = None
    """When it was placed, in virtual time (epoch seconds)."""
    changed: float = 0.0
    """When it came to its present status."""
    end: str = ""
    """The step that brought it there."""
    steps: list[tuple[float, str]] = field(default_factory=list)
    """What happened, and when."""

    @property
    def seconds(self) -> float:
        """Virtual seconds from the placing of the order to its present status."""
        return self.changed - (self.changed if self.began is None else self.began)

    def text(self) -> str:
        """What came of it, and the steps on its way, in the order of their times."""
        took = f" in {self.seconds:.1f} s" if self.seconds else ""
        way = [text for _, text in sorted(self.steps) if text not in {"placed", self.end}]
        return f"{self.end}{took}" + (f": {' → '.join(_counted(way))}" if way else "")


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
        said = _said(answer, story)
        if said:
            story.steps.append((answer.time, said))
            story.unusual = True
        if answer.request == "POST":
            story.answered = True
            if story.status is None:
                status = "placed" if answer.status < 400 else "refused"
                self._turn(story, status, said or status, answer.time)

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
        type_ = event["detail-type"]
        if "order_id" not in data or type_ in _UNTOLD or "supersededby" in envelope:
            return
        time = datetime.fromisoformat(envelope["time"]).timestamp()
        story = self._story(data["order_id"])
        reason = f" ({_spaced(data['reason'])})" if "reason" in data else ""
        text = words(type_.partition(".")[0]).removeprefix("order ") + reason
        story.steps.append((time, text))
        if type_ == "OrderPlaced.v1":
            self._checkouts[envelope["id"]] = story.order_id
            story.began = time
            story.unusual |= len(data["lines"]) >= _LARGE
            if story.status in {None, "refused"}:
                self._turn(story, "placed", text, time)
        elif type_ in ENDS:
            story.unusual |= ENDS[type_] not in {"confirmed", "delivered"}
            self._turn(story, ENDS[type_], text, time)

    def _turn(self, story: Story, status: str, step: str, time: float) -> None:
        if story.status is not None:
            self.statuses[story.status] -= 1
        self.statuses[status] += 1
        story.status, story.end, story.changed = status, step, time
        if status != "placed":
            self.turns.append(story)

    def _story(self, order_id: str) -> Story:
        if order_id not in self.by_order:
            self.by_order[order_id] = Story(order_id, self._names.get(order_id, order_id))
        return self.by_order[order_id]


def words(name: str) -> str:
    """A name in camel case as words: `StockReserved` is `stock reserved`."""
    return _NEXT_WORD.sub(" ", name).lower()


def _said(answer: Answer, story: Story) -> str | None:
    """What an answer adds to a story; the usual ones add nothing to what the events tell."""
    if answer.status in {401, 404}:
        return "others turned away"
    if answer.status >= 400:
        return f"refused ({_spaced(answer.code or str(answer.status))})"
    if answer.request == "POST" and story.answered:
        return "same answer again"
    return None


def _spaced(code: str) -> str:
    return code.replace("_", " ")


def execution_name(arn: str) -> str:
    """The name in the ARN of an Express execution, which is the id of the event that it handles.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-standard-vs-express.html
    """
    parts = arn.split(":")
    return parts[7] if len(parts) > 7 else ""


def _counted(texts: Iterable[str]) -> Iterator[str]:
    """Steps with those that repeat each other counted."""
    for text, same in groupby(texts):
        times = len(list(same))
        yield text if times == 1 else f"{text}, {times} times"
