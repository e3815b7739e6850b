"""Events of notifications: messages to send to customers."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from lambdas.eventing.event import Event
from lambdas.shared.vocabulary import CustomerId, OrderId


class Channel(StrEnum):
    """A way to reach a customer."""

    EMAIL = "email"
    SMS = "sms"
    WEBHOOK = "webhook"


class NotificationRequested(Event, frozen=True, kw_only=True):
    """A customer is to be notified about an order, on each of these channels.

    It names the customer but no address: addresses stay in this context.
    """

    source: ClassVar[str] = "orderflow.notifications"

    order_id: Annotated[OrderId, Meta(description="Order that the message is about")]
    customer_id: Annotated[CustomerId, Meta(description="The customer to notify")]
    occasion: Annotated[
        str, Meta(description="Name of the event to notify about", examples=["OrderConfirmed"])
    ]
    facts: Annotated[
        dict[str, str],
        Meta(description="What the message's template needs", examples=[{"total": "25.00 EUR"}]),
    ]
    channels: Annotated[
        tuple[Channel, ...], Meta(min_length=1, description="Each way that the customer chose")
    ]

    @property
    def subject(self) -> str:
        """The id of the order that the message is about."""
        return self.order_id
