"""Rules of shipping, without AWS."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self

from msgspec import Meta, Struct

from lambdas.eventing.aggregate import Aggregate, Change
from lambdas.eventing.event import Moment
from lambdas.orders.events import OrderCancelled
from lambdas.shared.vocabulary import OrderId
from lambdas.shipping.events import (
    OrderDelivered,
    OrderShipped,
    ShipmentEvent,
    ShipmentOverdue,
    ShipmentRecalled,
    ShipmentRequested,
)


class OtherParcel(Exception):
    """A report has the tracking id of another order's parcel."""


class Undecided(Exception):
    """The carrier's answer about the shipment is not stored yet: its reports have to wait."""


class TooEarly(Exception):
    """The shipment is not due yet."""


class State(StrEnum):
    """The state of the shipment of an order."""

    REQUESTING = "requesting"
    REQUESTED = "requested"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RECALLING = "recalling"
    RECALLED = "recalled"


class Report(StrEnum):
    """What a carrier reports about a parcel."""

    PICKED_UP = "picked_up"
    DELIVERED = "delivered"


Name = Annotated[str, Meta(min_length=1, max_length=100)]


class CarrierEvent(Struct, frozen=True, kw_only=True):
    """What a carrier reports in a callback. Unknown fields are ignored.

    The same report has the same `event_id` whenever it is sent.
    """

    event_id: Annotated[Name, Meta(description="The same whenever it is sent", examples=["e-1"])]
    order_id: Annotated[OrderId, Meta(min_length=1, max_length=100, description="What is carried")]
    tracking_id: Annotated[
        Name, Meta(description="What the carrier knows the parcel by", examples=["TRACK-42"])
    ]
    kind: Report
    occurred_at: Annotated[
        Moment, Meta(description="When it happened", examples=["2026-01-07T11:30:00Z"])
    ]


OPEN = frozenset({State.REQUESTING, State.REQUESTED, State.SHIPPED})
"""States in which the parcel is still to be delivered."""

UNDECIDED = frozenset({State.REQUESTING, State.RECALLING})
"""States in which the carrier is being asked for something, and its answer is not stored yet."""

_REACHED = {Report.PICKED_UP: State.SHIPPED, Report.DELIVERED: State.DELIVERED}
_PUBLISHED: dict[State, tuple[type[ShipmentEvent], ...]] = {
    State.REQUESTING: (),
    State.REQUESTED: (),
    State.SHIPPED: (OrderShipped,),
    State.DELIVERED: (OrderShipped, OrderDelivered),
}
"""The events about the parcel's way that are published by the time a shipment is in a state."""


class Shipment(Aggregate, frozen=True, kw_only=True):
    """The shipment of an order. One that was recalled before it began has only ids and a state."""

    order_id: str
    state: State
    correlation_id: str
    """Of the order: the carrier's callbacks do not have it."""
    due_at: Moment | None = None
    tracking_id: str | None = None
    overdue: bool = False
    reported_at: Moment | None = None
    recalled_from: State | None = None

    @classmethod
    def begin(cls, order_id: str, correlation_id: str, due_at: datetime) -> Change[Self]:
        """Begins a shipment; the carrier is to be asked for it next."""
        return Change(
            cls(
                order_id=order_id,
                state=State.REQUESTING,
                correlation_id=correlation_id,
                due_at=due_at,
            )
        )

    @classmethod
    def block(cls, order: OrderCancelled, correlation_id: str) -> Change[Self]:
        """Marks a cancelled order that has no shipment yet, so that it never gets one.

        Of an order that was not confirmed, no consumer expects a parcel: nothing is published.
        """
        blocked = cls(order_id=order.order_id, state=State.RECALLED, correlation_id=correlation_id)
        if not order.confirmed:
            return Change(blocked)
        return Change(blocked, (ShipmentRecalled(order_id=order.order_id),))

    def requested(self, tracking_id: str, due_at: datetime) -> Change[Self] | None:
        """Takes the carrier's agreement to deliver the parcel by `due_at`."""
        if self.state is not State.REQUESTING:
            return None
        event = ShipmentRequested(order_id=self.order_id, tracking_id=tracking_id, due_at=due_at)
        return self.becomes(event, state=State.REQUESTED, tracking_id=tracking_id)

    def report(self, report: CarrierEvent) -> Change[Self] | None:
        """Takes a carrier's report; None if it says nothing new or the shipment was recalled.

        Raises OtherParcel or Undecided.
        """
        if self.tracking_id not in {None, report.tracking_id}:
            raise OtherParcel(self.order_id)
        if self.state in UNDECIDED:
            raise Undecided(self.order_id)
        if self.state is State.RECALLED:
            return None
        return self._onward(self.state, report.kind, reported_at=report.occurred_at)

    def check_deadline(self, now: datetime) -> Change[Self] | None:
        """Marks the shipment as overdue if it is still to be delivered. Raises TooEarly."""
        if self.overdue or self.state not in OPEN:
            return None
        if self.due_at is None:
            raise LookupError(f"shipment {self.order_id} is {self.state} but has no deadline")
        if now < self.due_at:
            raise TooEarly(f"shipment {self.order_id} is due at {self.due_at}")
        event = ShipmentOverdue(order_id=self.order_id, due_at=self.due_at)
        return self.becomes(event, overdue=True)

    def recall(self) -> Change[Self] | None:
        """Begins to recall a parcel that is not delivered; the carrier is to be asked next."""
        if self.state not in OPEN:
            return None
        return self.becomes(state=State.RECALLING, recalled_from=self.state)

    def recalled(self, *, delivered: bool) -> Change[Self] | None:
        """Takes the carrier's answer: the parcel comes back, or it was `delivered` before.

        The carrier knows best: its callback about the delivery is on the way, or lost.
        """
        if self.state is not State.RECALLING:
            return None
        if delivered:
            before = self.recalled_from or State.REQUESTING
            return self._onward(before, Report.DELIVERED, recalled_from=None)
        picked_up = self.recalled_from is State.SHIPPED
        event = ShipmentRecalled(order_id=self.order_id, picked_up=picked_up)
        return self.becomes(event, state=State.RECALLED, recalled_from=None)

    def _onward(self, state: State, report: Report, **fields: object) -> Change[Self] | None:
        """The way from `state` to what is reported, with the events that are new, in order.

        Reports may come twice and overtake each other: a shipment goes forward only, and a parcel
        that was delivered has been picked up before.
        """
        published, reached = _PUBLISHED[state], _PUBLISHED[_REACHED[report]]
        new = [event_type(order_id=self.order_id) for event_type in reached[len(published) :]]
        return self.becomes(*new, state=_REACHED[report], **fields) if new else None


def due_at(confirmed_at: datetime, hours: int) -> datetime:
    """The deadline of an order, to the second: schedules know nothing finer."""
    return (confirmed_at + timedelta(hours=hours)).replace(microsecond=0)
