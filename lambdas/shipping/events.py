"""Events of shipping: the way of a parcel."""

from typing import Annotated, ClassVar

from msgspec import Meta

from lambdas.eventing.event import Event, Moment
from lambdas.shared.vocabulary import OrderId

Deadline = Annotated[
    Moment, Meta(description="Deadline of the delivery", examples=["2026-01-10T08:00:00Z"])
]


class ShipmentEvent(Event, frozen=True, kw_only=True):
    """Base of the events about the shipment of an order; each order has one."""

    source: ClassVar[str] = "orderflow.shipping"

    order_id: Annotated[OrderId, Meta(description="Order that is shipped")]

    @property
    def subject(self) -> str:
        """The id of the order that is shipped."""
        return self.order_id


class ShipmentRequested(ShipmentEvent, frozen=True, kw_only=True):
    """The carrier agreed to deliver the parcel in time."""

    tracking_id: Annotated[
        str, Meta(description="The carrier's id of the parcel", examples=["TRACK-42"])
    ]
    due_at: Deadline


class OrderShipped(ShipmentEvent, frozen=True, kw_only=True):
    """The carrier has the parcel."""


class OrderDelivered(ShipmentEvent, frozen=True, kw_only=True):
    """The customer has the parcel."""


class ShipmentOverdue(ShipmentEvent, frozen=True, kw_only=True):
    """The parcel was not delivered before its deadline."""

    due_at: Deadline


class ShipmentRecalled(ShipmentEvent, frozen=True, kw_only=True):
    """A confirmed order was cancelled: the carrier takes no parcel, or brings it back."""

    picked_up: Annotated[
        bool,
        Meta(description="Whether OrderShipped was published: then the parcel has to come back"),
    ] = False


class ShipmentDue(ShipmentEvent, frozen=True, kw_only=True):
    """The deadline of a delivery has come. Shipping's own reminder: scheduled, not published."""

    due_at: Deadline
