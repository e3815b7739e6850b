"""What payments publishes: the life of a payment."""

from typing import Annotated, ClassVar

from msgspec import Meta

from lambdas.eventing.event import Event
from lambdas.inventory.events import Currency, Minor


class PaymentEvent(Event, frozen=True, kw_only=True):
    """Base of what happens to the payment of an order."""

    source: ClassVar[str] = "orderflow.payments"

    order_id: Annotated[
        str,
        Meta(description="Order that is paid", examples=["7d1f0c52-5a6b-5c3d-9e21-0b9a4f6c8e13"]),
    ]
    amount_minor: Annotated[
        Minor, Meta(description="The whole amount, in minor units", examples=[2500])
    ]
    currency: Currency

    @property
    def subject(self) -> str:
        """The id of the order that is paid."""
        return self.order_id


class PaymentAuthorized(PaymentEvent, frozen=True, kw_only=True):
    """The provider holds the amount for the shop."""


class PaymentDeclined(PaymentEvent, frozen=True, kw_only=True):
    """The provider said no."""


class PaymentRefunded(PaymentEvent, frozen=True, kw_only=True):
    """The customer has the whole amount back."""


FOR_OUTSIDERS = (PaymentAuthorized, PaymentDeclined, PaymentRefunded)
"""For accounting: no context reacts to them."""
