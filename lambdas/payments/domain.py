"""Rules of payments, without AWS."""

from enum import StrEnum
from typing import Self

from lambdas.eventing.aggregate import Aggregate, Change, Refusal
from lambdas.orders.events import OrderPlaced
from lambdas.payments.events import (
    PaymentAuthorized,
    PaymentDeclined,
    PaymentEvent,
    PaymentRefunded,
)


class PaymentRefused(Refusal):
    """The order is not going to be paid: the provider declined, or the payment was released."""


class State(StrEnum):
    """The state of the payment of an order."""

    AUTHORIZING = "authorizing"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class Payment(Aggregate, frozen=True, kw_only=True):
    """The payment of an order. One that was released before it began has no amount."""

    order_id: str
    state: State
    amount_minor: int | None = None
    currency: str | None = None
    reason: str | None = None

    @classmethod
    def begin(cls, order: OrderPlaced) -> Change[Self]:
        """Begins a payment; the provider is to be asked for the money next."""
        return Change(
            cls(
                order_id=order.order_id,
                state=State.AUTHORIZING,
                amount_minor=order.total_minor,
                currency=order.currency,
            )
        )

    @classmethod
    def block(cls, order_id: str, reason: str) -> Change[Self]:
        """Marks an order whose payment has not begun, so that it never does."""
        return Change(cls(order_id=order_id, state=State.CANCELLED, reason=reason))

    def check(self) -> None:
        """Raises PaymentRefused if no money is going to be held."""
        match self.state:
            case State.DECLINED:
                raise PaymentRefused("payment_declined")
            case State.CANCELLING | State.CANCELLED:
                raise PaymentRefused(self.reason or "cancelled")

    def answered(self, *, approved: bool) -> Change[Self] | None:
        """Takes the provider's answer. Raises PaymentRefused if the payment was released."""
        if self.state is State.AUTHORIZING:
            state, event = (
                (State.AUTHORIZED, PaymentAuthorized)
                if approved
                else (State.DECLINED, PaymentDeclined)
            )
            return self.becomes(self._event(event), state=state)
        self.check()
        return None

    def release(self, reason: str) -> Change[Self] | None:
        """Begins to release the money, if any may be held. The next step calls the provider."""
        if self.state in {State.AUTHORIZING, State.AUTHORIZED}:
            return self.becomes(state=State.CANCELLING, reason=reason)
        return None

    def released(self, *, refunded: bool) -> Change[Self] | None:
        """Takes the provider's answer: the money is released, and `refunded` if any was held."""
        if self.state is not State.CANCELLING:
            return None
        events = [self._event(PaymentRefunded)] if refunded else []
        return self.becomes(*events, state=State.CANCELLED)

    def _event(self, event_type: type[PaymentEvent]) -> PaymentEvent:
        return event_type(
            order_id=self.order_id,
            amount_minor=self.amount_minor or 0,
            currency=self.currency or "",
        )
