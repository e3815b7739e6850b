"""Events of payments: the life of a payment."""

from typing import Annotated, ClassVar

from msgspec import Meta

from lambdas.eventing.event import Event
from lambdas.shared.vocabulary import Currency, Minor, OrderId


class PaymentEvent(Event, frozen=True, kw_only=True):
    """Base of the events about the payment of an order."""

    source: ClassVar[str] = "orderflow.payments"

    order_id: Annotated[OrderId, Meta(description="Order that is paid")]
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
    """The provider declined the payment."""


class PaymentRefunded(PaymentEvent, frozen=True, kw_only=True):
    """The customer has the whole amount back."""


FOR_OUTSIDERS = (PaymentAuthorized, PaymentDeclined, PaymentRefunded)
"""Events for accounting: no context reacts to them."""
