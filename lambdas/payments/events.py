"""What payments publishes: the life of a payment."""

from typing import ClassVar

from lambdas.eventing.event import Event
from lambdas.inventory.events import Currency, Minor


class PaymentEvent(Event, frozen=True, kw_only=True):
    """Base of what happens to the payment of an order."""

    source: ClassVar[str] = "orderflow.payments"

    order_id: str
    amount_minor: Minor
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


PUBLISHED = (PaymentAuthorized, PaymentDeclined, PaymentRefunded)
