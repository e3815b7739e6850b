"""What shipping publishes: the way of a parcel."""

from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import Meta

from lambdas.eventing.event import Event

Moment = Annotated[datetime, Meta(tz=True)]


class ShipmentEvent(Event, frozen=True, kw_only=True):
    """Base of what happens to the shipment of an order; each order has one."""

    source: ClassVar[str] = "orderflow.shipping"

    order_id: str

    @property
    def subject(self) -> str:
        """The id of the order that is shipped."""
        return self.order_id


class ShipmentRequested(ShipmentEvent, frozen=True, kw_only=True):
    """The carrier agreed to take the parcel and to deliver it in time."""

    tracking_id: str
    due_at: Moment


class OrderShipped(ShipmentEvent, frozen=True, kw_only=True):
    """The carrier has the parcel. Whoever needs more than the order's id knows it already."""


class OrderDelivered(ShipmentEvent, frozen=True, kw_only=True):
    """The customer has the parcel."""


class ShipmentOverdue(ShipmentEvent, frozen=True, kw_only=True):
    """The parcel should have been delivered by now, and was not."""

    due_at: Moment


class ShipmentRecalled(ShipmentEvent, frozen=True, kw_only=True):
    """The order was cancelled: the carrier does not deliver the parcel, or brings it back."""


class ShipmentDue(ShipmentEvent, frozen=True, kw_only=True):
    """The time to deliver is over. Shipping's own reminder: it is scheduled, not published."""

    due_at: Moment


PUBLISHED = (ShipmentRequested, OrderShipped, OrderDelivered, ShipmentOverdue, ShipmentRecalled)
