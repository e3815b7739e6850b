"""The tally: what went over each hop, counted out of the records as they come."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from demo.customers import Answer
from demo.story import words
from rehearsal import Record, Rehearsal


@dataclass(frozen=True)
class Hop:
    """One function and what brings it its work, as a row of the account."""

    kind: str
    name: str
    function: str
    queue: str | None = None
    parking: str | None = None
    method: str | None = None


HOPS = (
    Hop("call", "receive stock", "Inventory/ReceiveStock"),
    Hop("api", "POST /orders", "Orders/PlaceOrder", method="POST"),
    Hop("api", "GET /orders/…", "Orders/GetOrder", method="GET"),
    Hop("api", "DELETE /orders/…", "Orders/CancelOrder", method="DELETE"),
    Hop("relay", "orders' outbox → bus", "Orders/Orders/Relay"),
    Hop("relay", "inventory's outbox → bus", "Inventory/Stock/Relay"),
    Hop("relay", "payments' outbox → bus", "Payments/Payments/Relay"),
    *(
        Hop("queue", name, f"{path}/Function", f"{path}/Queue", f"{path}/DeadLetters")
        for name, path in (
            ("bus → keep price list", "Orders/KeepPriceList"),
            ("bus → run checkout", "Checkout/RunCheckout"),
            ("bus → release stock", "Inventory/ReleaseCancelledOrder"),
            ("bus → refund payment", "Payments/RefundCancelledOrder"),
        )
    ),
    Hop("step", "reserve stock", "Inventory/ReserveStock"),
    Hop("step", "authorize payment", "Payments/AuthorizePayment"),
    Hop("step", "confirm order", "Orders/ConfirmOrder"),
    Hop("step", "refund payment", "Payments/RefundPayment"),
    Hop("step", "release stock", "Inventory/ReleaseStock"),
    Hop("step", "reject order", "Orders/RejectOrder"),
)
"""The way of an order, from the customer to its end."""


@dataclass
class Tally:
    """Counts since the beginning."""

    invocations: Counter[str] = field(default_factory=Counter)
    """By function."""
    errors: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By function and name of the error."""
    answers: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """By HTTP method and status."""
    published: Counter[str] = field(default_factory=Counter)
    """By relay."""
    failed: Counter[str] = field(default_factory=Counter)
    """Messages that were not handled and come again, by function."""
    events: Counter[str] = field(default_factory=Counter)
    """By detail-type."""

    def heard(self, answer: Answer) -> None:
        """Counts an answer of the API."""
        self.answers[answer.request][answer.status] += 1

    def seen(self, record: Record) -> None:
        """Counts a record of the rehearsal."""
        if record.kind == "invocation":
            self.invocations[record.target] += 1
            if error := record.detail["error"]:
                self.errors[record.target][error["errorType"]] += 1
        elif record.kind == "published":
            self.published[record.source] += 1
            self.events[record.detail["event"]["detail-type"]] += 1
        elif record.kind == "delivery" and record.detail.get("failed"):
            self.failed[record.target] += len(record.detail["failed"])

    def result(self, hop: Hop) -> str:
        """What came of the work of a hop, in a few words."""
        if hop.method:
            answers = self.answers[hop.method]
            return "  ".join(f"{status}: {count:,}" for status, count in sorted(answers.items()))
        if hop.kind == "relay":
            return f"{self.published[hop.function]:,} events"
        errors = self.errors[hop.function]
        parts = [f"{self.invocations[hop.function] - errors.total():,} done"]
        parts += [f"{count:,} {words(name)}" for name, count in sorted(errors.items())]
        if again := self.failed[hop.function]:
            parts.append(f"{again:,} come again")
        return ", ".join(parts)


def in_flight(shop: Rehearsal) -> dict[str, int]:
    """Invocations that are under way, by function."""
    return {function.path: function.active for function in shop.functions}
