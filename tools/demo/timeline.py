"""The timeline of each order, from the records and answers."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from cdk_rehearsal import Record
from tools.demo.customers import ApiAnswer
from tools.demo.evidence import is_synthetic

ENDS = {
    "OrderConfirmed.v2": "confirmed",
    "OrderRejected.v2": "rejected",
    "OrderCancelled.v1": "cancelled",
    "OrderExpired.v1": "expired",
    "OrderDelivered.v1": "delivered",
    "OrderReturned.v1": "returned",
}
"""The order status that an event causes."""

_REDUNDANT = {"NotificationRequested.v1", "OrderShipped.v1", "ReturnDecided.v2"}
"""Events that say nothing new: others about the same order come just before or after them."""

_LARGE = 90
"""Lines of an unusually large order."""
_NEXT_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass
class OrderTimeline:
    """The steps of an order. `name` is the customer's id for it, `order_id` the shop's."""

    order_id: str
    name: str
    status: str | None = None
    """`placed`, `refused`, one of `ENDS`, or None before the first answer or event."""
    answered: bool = False
    unusual: bool = False
    began: float | None = None
    """The time of placement, in virtual time (epoch seconds)."""
    changed: float = 0.0
    """The time of the last change of status."""
    end: str = ""
    """The step that led to the present status."""
    steps: list[tuple[float, str]] = field(default_factory=list)
    """The steps with their times."""

    @property
    def seconds(self) -> float:
        """Virtual seconds from the placement to the present status."""
        return self.changed - (self.changed if self.began is None else self.began)

    def text(self) -> str:
        """Returns the last step, and the steps before it by time."""
        took = f" in {self.seconds:.1f} s" if self.seconds else ""
        before = [text for _, text in sorted(self.steps) if text not in {"placed", self.end}]
        return f"{self.end}{took}" + (f": {' → '.join(_counted(before))}" if before else "")


class Timelines:
    """The timelines of all customers' orders, by the shop's order ids."""

    def __init__(self, names: dict[str, str]) -> None:
        """`names` has the customers' ids of orders by the shop's ids."""
        self._names = names
        self._checkouts: dict[str, str] = {}
        self.by_order: dict[str, OrderTimeline] = {}
        self.statuses: Counter[str] = Counter()
        """The number of orders in each status now."""
        self.ended: list[OrderTimeline] = []
        """Orders that reached a possibly final status, in order of time."""

    def on_answer(self, answer: ApiAnswer) -> None:
        """Adds an answer of the API."""
        timeline = self._timeline(answer.order_id)
        step = _step(answer, timeline)
        if step:
            timeline.steps.append((answer.time, step))
            timeline.unusual = True
        if answer.request == "POST":
            timeline.answered = True
            if timeline.status is None:
                status = "placed" if answer.status < 400 else "refused"
                self._change(timeline, status, step or status, answer.time)

    def on_record(self, record: Record) -> None:
        """Adds a record of the rehearsal, if it is about an order."""
        if record.kind == "published":
            self._published(record.detail["event"])
        elif record.kind == "invocation" and record.detail["error"]:
            order_id = self._checkouts.get(execution_name(record.detail.get("execution", "")))
            if order_id:
                timeline = self._timeline(order_id)
                timeline.steps.append((record.time, words(record.detail["error"]["errorType"])))
                timeline.unusual = True

    def _published(self, event: dict[str, Any]) -> None:
        envelope = event["detail"]
        data = envelope["data"]
        type_ = event["detail-type"]
        redundant = type_ in _REDUNDANT or "supersededby" in envelope
        if "order_id" not in data or redundant or is_synthetic(envelope):
            return
        time = datetime.fromisoformat(envelope["time"]).timestamp()
        timeline = self._timeline(data["order_id"])
        reason = f" ({_spaced(data['reason'])})" if "reason" in data else ""
        text = words(type_.partition(".")[0]).removeprefix("order ") + reason
        timeline.steps.append((time, text))
        if type_ == "OrderPlaced.v2":
            self._checkouts[envelope["id"]] = timeline.order_id
            timeline.began = time
            timeline.unusual |= len(data["lines"]) >= _LARGE
            if timeline.status in {None, "refused"}:
                self._change(timeline, "placed", text, time)
        elif type_ in ENDS:
            timeline.unusual |= ENDS[type_] not in {"confirmed", "delivered"}
            self._change(timeline, ENDS[type_], text, time)

    def _change(self, timeline: OrderTimeline, status: str, step: str, time: float) -> None:
        if timeline.status is not None:
            self.statuses[timeline.status] -= 1
        self.statuses[status] += 1
        timeline.status, timeline.end, timeline.changed = status, step, time
        if status != "placed":
            self.ended.append(timeline)

    def _timeline(self, order_id: str) -> OrderTimeline:
        if order_id not in self.by_order:
            self.by_order[order_id] = OrderTimeline(order_id, self._names.get(order_id, order_id))
        return self.by_order[order_id]


def words(name: str) -> str:
    """Returns a camel-case name as words: `StockReserved` becomes `stock reserved`."""
    return _NEXT_WORD.sub(" ", name).lower()


def _step(answer: ApiAnswer, timeline: OrderTimeline) -> str | None:
    """Returns an unusual answer as a step. Events already say what usual answers say."""
    if answer.status in {401, 404}:
        return "access refused"
    if answer.status >= 400:
        return f"refused ({_spaced(answer.code or str(answer.status))})"
    if answer.request == "POST" and timeline.answered:
        return "same answer again"
    return None


def _spaced(code: str) -> str:
    return code.replace("_", " ")


def execution_name(arn: str) -> str:
    """Returns the name in the ARN of an Express execution: the id of the event that it handles.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-standard-vs-express.html
    """
    parts = arn.split(":")
    return parts[7] if len(parts) > 7 else ""


def _counted(texts: Iterable[str]) -> Iterator[str]:
    """Yields the steps, with repeated ones counted."""
    for text, same in groupby(texts):
        times = len(list(same))
        yield text if times == 1 else f"{text}, {times} times"
