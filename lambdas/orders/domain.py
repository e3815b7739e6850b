"""Rules of orders, without AWS."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from msgspec import Struct

from lambdas.eventing.event import Event
from lambdas.orders.events import Line
from lambdas.returns.events import OrderReturned, ReturnRefused, ReturnRequested
from lambdas.shipping.events import (
    OrderDelivered,
    OrderShipped,
    ShipmentOverdue,
    ShipmentRecalled,
    ShipmentRequested,
)

_ORDERS = UUID("9c0f2a1e-6f0b-5f0e-9d55-0d6a3b1c7f42")

_ORDER_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Status(StrEnum):
    """Where an order stands. `PLACED` is the only one that checkout may decide about."""

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
"""Ends at which nobody pays: what is held for the order is let go of, or is about to be. But for
the units that a customer has who cancelled too late: those come back by a return, or never."""

_WAYS = (
    (Status.CONFIRMED, Status.SHIPPED, Status.DELIVERED, Status.RETURNED),
    (Status.CANCELLED, Status.RETURNED),
)
"""The way of an order once it is confirmed, and of one that was cancelled when its customer had the
parcel already. It only goes on, and may leave out a station."""


class Step(Struct, frozen=True):
    """What others tell of an order: how its history calls it, and the status that it leads to."""

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
"""The events that an order follows. Each happens to an order once at most, so that its history is
bounded by their number."""


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
"""All steps of an order, each after the steps that have to precede it."""

_RANKS = {what: rank for rank, what in enumerate(LIFECYCLE)}


def chronological(times: Mapping[str, datetime]) -> list[str]:
    """Sort the steps of a history by time; steps at the same time, by the lifecycle."""
    return sorted(times, key=lambda what: (times[what], _RANKS.get(what, len(_RANKS))))


def status_after(status: Status, step: Step) -> Status:
    """The status of an order in `status` after a step, in whatever order steps become known."""
    after = step.status
    if after and any(status in way and after in way[way.index(status) :] for way in _WAYS):
        return after
    return status


class Price(Struct, frozen=True):
    """What an item costs, in minor units."""

    unit_price_minor: int
    currency: str


def order_id_for(customer_id: str, idempotency_key: str) -> str:
    """The id of the order that a request is about: the same for each repetition of the request.

    So a request cannot place two orders, whenever it is repeated.
    """
    return str(uuid5(_ORDERS, f"{len(customer_id)}:{customer_id}:{idempotency_key}"))


def is_order_id(text: str) -> bool:
    """Whether `text` could be the id of an order at all."""
    return bool(_ORDER_ID.fullmatch(text))


def total_minor(lines: Iterable[Line]) -> int:
    """What the lines cost together, in minor units."""
    return sum(line.quantity * line.unit_price_minor for line in lines)


def unknown_skus(lines: Iterable[Line], prices: Mapping[str, Price]) -> list[str]:
    """SKUs that the price list does not have."""
    return sorted({line.sku for line in lines if line.sku not in prices})


def outdated_lines(
    lines: Iterable[Line], currency: str, prices: Mapping[str, Price]
) -> dict[str, Price]:
    """The current price of each item that the customer saw at another one."""
    return {
        line.sku: prices[line.sku]
        for line in lines
        if prices[line.sku] != Price(line.unit_price_minor, currency)
    }
