"""Shipping's table: one shipment per order, in step with the carrier and with the deadline.

The carrier takes no part in transactions: what is to be asked for is stored before, and the answer
after. A crash in between is resumed with the same idempotency key. Each write is conditional on the
revision that was read, so whoever meets another looks again.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from lambdas.eventing.event import Cause
from lambdas.eventing.transaction import (
    AlreadyProcessed,
    ConditionFailed,
    Contention,
    Key,
    Transaction,
    read,
)
from lambdas.orders.events import OrderCancelled, OrderConfirmed
from lambdas.shipping import deadline
from lambdas.shipping.carrier import Carrier, Delivered, Recalled
from lambdas.shipping.domain import OPEN, UNDECIDED, Report, State, onward
from lambdas.shipping.events import (
    Moment,
    ShipmentEvent,
    ShipmentOverdue,
    ShipmentRecalled,
    ShipmentRequested,
)
from lambdas.shipping.settings import settings

_TRIES = 5
_CARRIER = "shipping.carrier"

Name = Annotated[str, Meta(min_length=1, max_length=100)]


class UnknownShipment(Exception):
    """There is no shipment with this order id and tracking id."""


class Undecided(Exception):
    """The carrier's answer about the shipment is not stored yet: what it reports has to wait."""


class TooEarly(Exception):
    """It is not yet the time to say that a shipment is overdue."""


class CarrierEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier reports, as it stands in a call-back. Unknown fields are ignored.

    The same report has the same `event_id` whenever it is sent.
    """

    event_id: Annotated[Name, Meta(description="The same whenever it is sent", examples=["e-1"])]
    order_id: Annotated[
        Name,
        Meta(description="What is carried", examples=["7d1f0c52-5a6b-5c3d-9e21-0b9a4f6c8e13"]),
    ]
    tracking_id: Annotated[
        Name, Meta(description="What the carrier knows the parcel by", examples=["TRACK-42"])
    ]
    kind: Report
    occurred_at: Annotated[
        Moment, Meta(description="When it happened", examples=["2026-01-07T11:30:00Z"])
    ]


class Taken(StrEnum):
    """What became of a report: the name under which it is counted."""

    NEWS = "CarrierReports"
    KNOWN = "DuplicateCallbacks"
    AFTER_RECALL = "CallbacksAfterRecall"


class _Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """A shipment as stored. One that was recalled before it began has no more than a state."""

    state: State
    correlation_id: str
    """Of the order: the carrier's call-backs do not know it."""
    revision: int = 0
    due_at: Moment | None = None
    tracking_id: str | None = None
    overdue: bool = False
    reported_at: Moment | None = None
    recalled_from: State | None = None


def request(order: OrderConfirmed, due_at: datetime, carrier: Carrier, cause: Cause) -> None:
    """Has the order carried to its customer by `due_at`; does nothing if that is arranged already.

    Raises carrier.Unavailable.
    """
    for _ in range(_TRIES):
        shipment = _find(order.order_id)
        if shipment is None:
            intended = _Shipment(
                state=State.REQUESTING, correlation_id=cause.correlation_id, due_at=due_at
            )
            _write(order.order_id, None, intended, cause)
        elif shipment.state is State.REQUESTING:
            _ask(order, shipment, shipment.due_at or due_at, carrier, cause)
        else:
            return
    raise Contention(f"the shipment of order {order.order_id} kept changing while it was requested")


def take(report: CarrierEvent) -> Taken:
    """Moves a shipment on by what the carrier reports. Raises UnknownShipment or Undecided."""
    for _ in range(_TRIES):
        shipment = _find(report.order_id)
        if shipment is None or shipment.tracking_id not in {None, report.tracking_id}:
            raise UnknownShipment(report.order_id)
        if shipment.state in UNDECIDED:
            raise Undecided(report.order_id)
        if shipment.state is State.RECALLED:
            return Taken.AFTER_RECALL
        state, news = onward(shipment.state, report.kind)
        if not news:
            return Taken.KNOWN
        moved = msgspec.structs.replace(shipment, state=state, reported_at=report.occurred_at)
        events = [event_type(order_id=report.order_id) for event_type in news]
        why = Cause(correlation_id=shipment.correlation_id, causation_id=report.event_id)
        try:
            once = f"{report.order_id}#{report.event_id}"  # some carriers count parcel by parcel
            if _write(report.order_id, shipment, moved, why, *events, once=once):
                return Taken.NEWS
        except AlreadyProcessed:
            return Taken.KNOWN
    raise Contention(
        f"the shipment of order {report.order_id} kept changing while it was reported on"
    )


def check(order_id: str, now: datetime, cause: Cause) -> bool:
    """Marks the order's shipment as overdue if it is to be delivered still. True if it is new.

    Raises TooEarly, or LookupError: who is reminded of a shipment has requested it before.
    """
    for _ in range(_TRIES):
        shipment = _find(order_id)
        if shipment and (shipment.overdue or shipment.state not in OPEN):
            return False
        if shipment is None or shipment.due_at is None:
            raise LookupError(f"order {order_id} has a deadline but no shipment")
        if now < shipment.due_at:
            raise TooEarly(f"the shipment of order {order_id} is due at {shipment.due_at}")
        late = msgspec.structs.replace(shipment, overdue=True)
        event = ShipmentOverdue(order_id=order_id, due_at=shipment.due_at)
        if _write(order_id, shipment, late, cause, event):
            return True
    raise Contention(f"the shipment of order {order_id} kept changing while it was checked")


def recall(order: OrderCancelled, carrier: Carrier, cause: Cause) -> bool:
    """Has the order's parcel brought back, and none requested from now on.

    False if the customer has it already: then it stays delivered. Safe to repeat, to run before the
    request, and to resume after a crash. Raises carrier.Unavailable.
    """
    order_id = order.order_id
    for _ in range(_TRIES):
        shipment = _find(order_id)
        if shipment is None:
            tombstone = _Shipment(state=State.RECALLED, correlation_id=cause.correlation_id)
            # Nobody waits for the parcel of an order that was not confirmed.
            news = (ShipmentRecalled(order_id=order_id),) if order.confirmed else ()
            _write(order_id, None, tombstone, cause, *news)
        elif shipment.state in OPEN:
            recalling = msgspec.structs.replace(
                shipment, state=State.RECALLING, recalled_from=shipment.state
            )
            _write(order_id, shipment, recalling, cause)
        elif shipment.state is State.RECALLING:
            _ask_back(order_id, shipment, carrier, cause)
        else:
            return shipment.state is State.RECALLED
    raise Contention(f"the shipment of order {order_id} kept changing while it was recalled")


def _ask(
    order: OrderConfirmed, shipment: _Shipment, due_at: datetime, carrier: Carrier, cause: Cause
) -> None:
    units = sum(line.quantity for line in order.lines)
    try:
        tracking_id = carrier.request(order.order_id, address=order.shipping_address, units=units)
    except Recalled:
        return  # by a cancellation that got in between
    deadline.remind(order.order_id, due_at, cause)
    requested = msgspec.structs.replace(shipment, state=State.REQUESTED, tracking_id=tracking_id)
    event = ShipmentRequested(order_id=order.order_id, tracking_id=tracking_id, due_at=due_at)
    _write(order.order_id, shipment, requested, cause, event)


def _ask_back(order_id: str, shipment: _Shipment, carrier: Carrier, cause: Cause) -> None:
    news: tuple[type[ShipmentEvent], ...]
    try:
        carrier.recall(order_id)
    except Delivered:
        # The carrier knows best; its call-back is on the way, or lost.
        state, news = onward(shipment.recalled_from or State.REQUESTING, Report.DELIVERED)
    else:
        state, news = State.RECALLED, (ShipmentRecalled,)
    settled = msgspec.structs.replace(shipment, state=state, recalled_from=None)
    _write(order_id, shipment, settled, cause, *[event(order_id=order_id) for event in news])


def _write(
    order_id: str,
    before: _Shipment | None,
    after: _Shipment,
    cause: Cause,
    *events: ShipmentEvent,
    once: str | None = None,
) -> bool:
    """Stores a change and publishes its events. False if it is no longer as it was `before`."""
    key = _key(order_id)
    transaction = Transaction(settings(), cause)
    if once:
        transaction.once(_CARRIER, once)
    revised = msgspec.structs.replace(after, revision=after.revision + 1)
    item = {"kind": "shipment", **msgspec.to_builtins(revised)}
    if before is None:
        transaction.create(key, item)
    else:
        transaction.put(
            key,
            item,
            condition="revision = :revision",
            values={":revision": before.revision},
        )
    for event in events:
        transaction.publish(key, event)
    try:
        transaction.commit()
    except ConditionFailed:
        return False
    return True


def _find(order_id: str) -> _Shipment | None:
    stored = read(settings(), _key(order_id))
    return msgspec.convert(stored, _Shipment) if stored else None


def _key(order_id: str) -> Key:
    return (f"SHIPMENT#{order_id}", "SHIPMENT")
