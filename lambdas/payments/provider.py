"""The payment provider's interface."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol

from lambdas.payments.events import DeclineReason


class Declined(Exception):
    """The provider declined. The answer is final."""

    reason: ClassVar[DeclineReason] = DeclineReason.PAYMENT_DECLINED


class AuthenticationRequired(Declined):
    """The bank asks the customer to authenticate, and the checkout has no customer to ask."""

    reason: ClassVar[DeclineReason] = DeclineReason.AUTHENTICATION_REQUIRED


class Unavailable(Exception):
    """The provider gave no answer, or asked to try later. The call may have had its effect."""


class NoLongerHeld(Exception):
    """The provider does not hold the amount, so it cannot be captured any more."""


class Settlement(StrEnum):
    """The money of a payment that was released."""

    NOTHING = "nothing"
    """None was ever held."""
    RELEASED = "released"
    """It was held, and never captured."""
    REFUNDED = "refunded"
    """It was captured, and the customer has all of it back."""


class PaymentProvider(Protocol):
    """The operations of every provider. A repeated call has the effect of one, at any later time.

    A payment is opened before money moves, so that its id can be stored first. All operations raise
    Unavailable, and Misconfigured if only a change of the configuration can help.
    """

    def open(self, order_id: str, *, amount_minor: int, currency: str) -> str:
        """Opens a payment without moving money. Returns the provider's id. Raises Declined."""

    def authorize(self, payment_id: str, *, token: str) -> datetime:
        """Holds the amount. Returns until when it can be captured. Raises Declined."""

    def capture(self, payment_id: str) -> None:
        """Takes the held amount. Raises NoLongerHeld."""

    def order_of(self, payment_id: str) -> str | None:
        """Returns the order of a payment; None if another system opened the payment."""

    def release(self, payment_id: str) -> Settlement:
        """Releases the amount, or refunds it if it was captured. It is never held again.

        Also closes a payment that was declined.
        """
