"""Rules of shipping, without AWS."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from msgspec import Struct

from lambdas.eventing.aggregate import Aggregate, Change
from lambdas.eventing.event import Moment
from lambdas.orders.events import OrderCancelled
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
    FAILED = "failed"
    """It cannot be delivered: it comes back, is lost, or its label was cancelled."""


class ParcelReport(Struct, frozen=True, kw_only=True):
    """A carrier's report. The same report has the same `event_id` whenever it is sent."""

    event_id: str
    parcel_id: str
    tracking_id: str
    kind: Report
    occurred_at: datetime


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
    parcel_id: str | None = None
    """The carrier's id of the parcel, stored before its label is bought."""
    tracking_id: str | None = None
    overdue: bool = False
    failed: bool = False
    """Whether the carrier gave up delivering it."""
    reported_at: Moment | None = None
    reports: tuple[str, ...] = ()
    """The carrier's ids of the reports that changed it: three at most."""
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

    @property
    def at_carrier(self) -> str | None:
        """The id of the parcel that is to be recalled, if there may be one.

        Earlier releases stored none: their carrier knew the parcel by the order's id.
        """
        return self.parcel_id or (self.order_id if self.tracking_id else None)

    def opened(self, parcel_id: str) -> Change[Self] | None:
        """Takes the carrier's id of the parcel, unless it has one or is recalled."""
        if self.state is not State.REQUESTING or self.parcel_id:
            return None
        return self.becomes(parcel_id=parcel_id)

    def requested(self, tracking_id: str, due_at: datetime) -> Change[Self] | None:
        """Takes the carrier's agreement to deliver the parcel by `due_at`."""
        if self.state is not State.REQUESTING:
            return None
        event = ShipmentRequested(order_id=self.order_id, tracking_id=tracking_id, due_at=due_at)
        return self.becomes(event, state=State.REQUESTED, tracking_id=tracking_id)

    def report(self, report: ParcelReport) -> Change[Self] | None:
        """Takes a carrier's report; None if it was taken, is no news, or the shipment was recalled.

        A failure is only marked: an employee decides what becomes of the order.

        Raises OtherParcel or Undecided.
        """
        if self.tracking_id not in {None, report.tracking_id}:
            raise OtherParcel(self.order_id)
        if self.state in UNDECIDED:
            raise Undecided(self.order_id)
        if self.state is State.RECALLED or report.event_id in self.reports:
            return None
        news = {
            "reported_at": report.occurred_at,
            "reports": (*self.reports, report.event_id),
        }
        if report.kind is Report.FAILED:
            new = self.state in OPEN and not self.failed
            return self.becomes(failed=True, **news) if new else None
        return self._onward(self.state, report.kind, **news)

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

    def recalled(self, *, too_late: Report | None = None) -> Change[Self] | None:
        """Takes the carrier's answer: the parcel comes back, or how far it is if it was `too_late`.

        The carrier knows best: its callback about that is on the way, or lost.
        """
        if self.state is not State.RECALLING:
            return None
        before = self.recalled_from or State.REQUESTING
        if too_late:
            onward = self._onward(before, too_late, recalled_from=None)
            return onward or self.becomes(state=before, recalled_from=None)
        event = ShipmentRecalled(order_id=self.order_id, picked_up=before is State.SHIPPED)
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
