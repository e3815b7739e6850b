"""Rules of orders, without AWS."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self
from uuid import UUID, uuid5

from msgspec import Struct, structs

from lambdas.eventing.aggregate import Aggregate, Change, Refusal
from lambdas.eventing.event import Event, Moment
from lambdas.eventing.personal import Claim, Deposit, Discard, Keep, VaultChange
from lambdas.orders.events import (
    Address,
    Line,
    OrderCancelled,
    OrderConfirmed,
    OrderExpired,
    OrderPlaced,
    OrderRejected,
    OrderRejectedV1,
    PaymentMethod,
    RejectionReason,
    claim_of,
)
from lambdas.returns.events import OrderReturned, ReturnRefused, ReturnRequested
from lambdas.shared.vocabulary import SYNTHETIC_ITEMS
from lambdas.shipping.events import (
    OrderDelivered,
    OrderShipped,
    ShipmentOverdue,
    ShipmentRecalled,
    ShipmentRequested,
)

_ORDERS = UUID("9c0f2a1e-6f0b-5f0e-9d55-0d6a3b1c7f42")


class OrderClosed(Refusal):
    """The order was cancelled or rejected, or expired, before it could be confirmed."""


class OrderStands(Refusal):
    """Another run of the same checkout has confirmed the order: nothing may be undone by this one.

    Nor if the order was cancelled after that: its customer may have the units by now.
    """


class TooLateToCancel(Exception):
    """The order can no longer be cancelled."""


class Status(StrEnum):
    """The status of an order. Checkout decides about it only while it is `PLACED`."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURNED = "returned"


CANCELLABLE = frozenset({Status.PLACED, Status.CONFIRMED})

CLOSED = frozenset({Status.REJECTED, Status.CANCELLED, Status.EXPIRED})
"""Ends at which nobody pays: what is held for the order is released, or is about to be. The
exception are units that a customer got although the order was cancelled: those come back by a
return, or never."""

_WAYS = (
    (Status.CONFIRMED, Status.SHIPPED, Status.DELIVERED, Status.RETURNED),
    (Status.CANCELLED, Status.RETURNED),
)
"""The statuses of an order once it is confirmed, and of one that was cancelled after its parcel was
delivered. An order moves forward only, and may skip a status."""


class Step(Struct, frozen=True):
    """What an event of another context adds to an order: a step of its history, and a status."""

    what: str
    status: Status | None = None
    details: tuple[str, ...] = ()
    """Fields of the event that the history keeps."""


STEPS: Mapping[type[Event], Step] = {
    ShipmentRequested: Step("shipment_requested", details=("tracking_id", "due_at")),
    OrderShipped: Step("shipped", Status.SHIPPED),
    ShipmentOverdue: Step("overdue", details=("due_at",)),
    OrderDelivered: Step("delivered", Status.DELIVERED),
    ShipmentRecalled: Step("recalled"),
    ReturnRequested: Step("return_requested", details=("reason",)),
    ReturnRefused: Step("return_refused", details=("reason",)),
    OrderReturned: Step("returned", Status.RETURNED),
}
"""The events that an order follows. Each happens to an order once at most, so their number bounds
the history."""


ADDRESS_DAYS = 60
"""Days for which the address is kept after the order ended. In this time the customer may return a
delivered order, and staff decide about that."""
UNFINISHED_DAYS = 365
"""Days for which the address of an order is kept that does not end: its parcel is lost."""
PAYMENT_METHOD_DAYS = 30
"""Days for which the means of payment is kept if the checkout does not end, in spite of the sweep:
longer than its message may wait in its queue and its dead-letter queue."""

OPEN = frozenset({Status.PLACED, Status.CONFIRMED, Status.SHIPPED})
"""Statuses of orders that still need their personal data."""


LIFECYCLE: tuple[str, ...] = (
    Status.PLACED,
    Status.REJECTED,
    Status.EXPIRED,
    Status.CONFIRMED,
    STEPS[ShipmentRequested].what,
    Status.CANCELLED,
    Status.SHIPPED,
    STEPS[ShipmentOverdue].what,
    Status.DELIVERED,
    STEPS[ShipmentRecalled].what,
    STEPS[ReturnRequested].what,
    STEPS[ReturnRefused].what,
    Status.RETURNED,
)
"""All steps of an order, each after the steps that precede it."""

_RANKS = {what: rank for rank, what in enumerate(LIFECYCLE)}


class Entry(Struct, frozen=True, kw_only=True):
    """What is known of a step: when it happened, and its details."""

    at: Moment
    details: Mapping[str, Any] = {}


class Order(Aggregate, frozen=True, kw_only=True):
    """An order. Its history has one entry for each kind of step, so its size is bounded."""

    order_id: str
    customer_id: str
    status: Status
    currency: str
    total_minor: int
    lines: tuple[Line, ...]
    placed_at: Moment
    fingerprint: str
    history: Mapping[str, Entry]
    reason: str | None = None
    shipping_address: Address | None = None
    """Only in orders of earlier releases. The vault gets it when such an order is confirmed."""

    @classmethod
    def place(
        cls,
        placed: OrderPlaced,
        address: Address,
        payment: PaymentMethod,
        fingerprint: str,
        now: datetime,
    ) -> Change[Self]:
        """Places an order. `fingerprint` is that of the request body."""
        order = cls(
            order_id=placed.order_id,
            customer_id=placed.customer_id,
            status=Status.PLACED,
            currency=placed.currency,
            total_minor=placed.total_minor,
            lines=placed.lines,
            placed_at=now,
            fingerprint=fingerprint,
            history={Status.PLACED: Entry(at=now)},
        )
        vault = (Deposit(address, UNFINISHED_DAYS), Deposit(payment, PAYMENT_METHOD_DAYS))
        return Change(order, (placed,), vault=vault)

    @property
    def claim(self) -> Claim:
        """The key of its address and of its means of payment."""
        return claim_of(self.customer_id, self.order_id)

    @property
    def pending_since(self) -> datetime | None:
        """The time since when it waits for its checkout, if it does."""
        return self.placed_at if self.status is Status.PLACED else None

    @property
    def is_open(self) -> bool:
        """Whether it, or its return, may still need the customer's personal data."""
        returning = STEPS[ReturnRequested].what in self.history
        ends = {STEPS[event].what for event in (OrderReturned, ReturnRefused)}
        return self.status in OPEN or (returning and not ends & self.history.keys())

    def ended_at(self, now: datetime) -> datetime:
        """Returns when its checkout ended, or `now` if it has not."""
        others = (step.at for what, step in self.history.items() if what != Status.PLACED)
        return min(others, default=now)

    def confirm(self, now: datetime) -> Change[Self] | None:
        """Ends its checkout well; does nothing if that was done before. Raises OrderClosed."""
        if self.status in CLOSED:
            raise OrderClosed(self.status.value)
        if self.status is not Status.PLACED:
            return None
        event = OrderConfirmed(
            order_id=self.order_id,
            customer_id=self.customer_id,
            currency=self.currency,
            total_minor=self.total_minor,
            lines=self.lines,
        )
        change = self._moves(Status.CONFIRMED, now, event)
        if self.shipping_address:
            deposit = Deposit(self.shipping_address, UNFINISHED_DAYS)
            return structs.replace(change, vault=(*change.vault, deposit))
        return change

    def reject(self, reason: str, now: datetime) -> Change[Self] | None:
        """Ends its checkout badly; does nothing if it is closed. Raises OrderStands."""
        if self.status is Status.PLACED:
            known = RejectionReason.of(reason)
            event = OrderRejected(
                order_id=self.order_id, customer_id=self.customer_id, reason=known
            )
            older = OrderRejectedV1(
                order_id=self.order_id, customer_id=self.customer_id, reason=reason
            )
            change = self._moves(Status.REJECTED, now, event, reason)
            return structs.replace(change, also_as=(older,))
        if Status.CONFIRMED in self.history or self.status not in CLOSED:
            raise OrderStands(self.status.value)
        return None

    def cancel(self, now: datetime) -> Change[Self] | None:
        """Cancels it for its customer; does nothing if that was done. Raises TooLateToCancel."""
        if Status.CANCELLED in self.history:
            return None
        if self.status not in CANCELLABLE:
            raise TooLateToCancel(self.status.value)
        event = OrderCancelled(
            order_id=self.order_id,
            customer_id=self.customer_id,
            confirmed=self.status is Status.CONFIRMED,
        )
        return self._moves(Status.CANCELLED, now, event)

    def expire(self, now: datetime) -> Change[Self] | None:
        """Gives up waiting for its checkout, if it still does."""
        if self.status is not Status.PLACED:
            return None
        event = OrderExpired(order_id=self.order_id, customer_id=self.customer_id)
        return self._moves(Status.EXPIRED, now, event)

    def follow(self, event: Event, at: datetime) -> Change[Self] | None:
        """Takes what another context publishes about it into its history, and its status on.

        Does nothing if it is there: a fact stays in the history as it was first known.
        """
        step = STEPS[type(event)]
        if step.what in self.history:
            return None
        details = {name: getattr(event, name) for name in step.details}
        history = {**self.history, step.what: Entry(at=at, details=details)}
        return self._to(status_after(self.status, step), history=history)

    def _moves(
        self, status: Status, now: datetime, event: Event, reason: str | None = None
    ) -> Change[Self]:
        entry = Entry(at=now, details={"reason": reason} if reason else {})
        history = {**self.history, status.value: entry}
        return self._to(status, event, reason=reason, history=history)

    def _to(self, status: Status, *events: Event, **fields: object) -> Change[Self]:
        """Returns a change to a status, in which the vault keeps only the data still needed."""
        vault: list[VaultChange] = []
        if self.status is Status.PLACED and status is not Status.PLACED:
            vault.append(Discard(PaymentMethod))
        if self.status in OPEN and status not in OPEN:
            vault.append(Keep(Address, ADDRESS_DAYS))
        change = self.becomes(*events, status=status, **fields)
        return structs.replace(change, vault=tuple(vault))


CANARY = "canary"
"""The customer of canary orders. No user has this id: those of Cognito are UUIDs."""
_NOBODY = Address(name="Canary", street="-", postal_code="-", city="-", country="DE")


def canary(key: str, now: datetime) -> Change[Order]:
    """Places an order whose item is never in stock, so that its checkout ends by itself."""
    line = Line(sku=f"{SYNTHETIC_ITEMS}CANARY", quantity=1, unit_price_minor=1)
    placed = OrderPlaced(
        order_id=order_id_for(CANARY, key),
        customer_id=CANARY,
        currency="EUR",
        total_minor=1,
        lines=(line,),
    )
    return Order.place(placed, _NOBODY, PaymentMethod(token="none"), key, now)


def chronological(times: Mapping[str, datetime]) -> list[str]:
    """Sorts the steps of a history by time, and steps at the same time by the lifecycle."""
    return sorted(times, key=lambda what: (times[what], _RANKS.get(what, len(_RANKS))))


def status_after(status: Status, step: Step) -> Status:
    """Returns the status after a step; steps may become known in any order."""
    after = step.status
    if after and any(status in way and after in way[way.index(status) :] for way in _WAYS):
        return after
    return status


class Price(Struct, frozen=True):
    """The price of an item, in minor units."""

    unit_price_minor: int
    currency: str


def order_id_for(customer_id: str, idempotency_key: str) -> str:
    """Returns the id of the order that a request is about.

    Each repetition of the request has the same id, so it cannot place two orders.
    """
    return str(uuid5(_ORDERS, f"{len(customer_id)}:{customer_id}:{idempotency_key}"))


def wait_before_next(
    newest: Sequence[datetime], most_per_hour: int, now: datetime
) -> timedelta | None:
    """Returns how long a customer has to wait before the next order, or None.

    `newest` are the times of their newest orders, the newest first.
    """
    if len(newest) < most_per_hour:
        return None
    wait = newest[most_per_hour - 1] + timedelta(hours=1) - now
    return wait if wait > timedelta() else None


def total_minor(lines: Iterable[Line]) -> int:
    """Returns the total of the lines, in minor units."""
    return sum(line.quantity * line.unit_price_minor for line in lines)


def unknown_skus(
    lines: Iterable[Line], prices: Mapping[str, Price], *, synthetic: bool = False
) -> list[str]:
    """Returns the SKUs that are not on sale for such an order, sorted.

    Synthetic orders have only items of their own, so they never take units from customers.
    """
    return sorted(
        {
            line.sku
            for line in lines
            if line.sku not in prices or line.sku.startswith(SYNTHETIC_ITEMS) is not synthetic
        }
    )


def outdated_lines(
    lines: Iterable[Line], currency: str, prices: Mapping[str, Price]
) -> dict[str, Price]:
    """Returns the current price of each item that the customer saw at another price."""
    return {
        line.sku: prices[line.sku]
        for line in lines
        if prices[line.sku] != Price(line.unit_price_minor, currency)
    }
