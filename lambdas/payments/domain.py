"""Rules of payments, without AWS."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from lambdas.eventing.aggregate import Aggregate, Change, Refusal
from lambdas.eventing.event import Moment
from lambdas.orders.events import OrderPlaced
from lambdas.payments.events import (
    AuthorizationExpiring,
    DeclineReason,
    DisputeClosed,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentDisputed,
    PaymentEvent,
    PaymentRefunded,
    PaymentReleased,
    PaymentUncollected,
    RefundFailed,
    RefundNoticed,
)
from lambdas.payments.provider import Settlement

NOTICE = timedelta(hours=12)
"""How long before the end of its authorization an order that has not shipped is given up.

The order is cancelled and the amount released in this time, and a parcel that leaves at the last
moment can still be paid.
"""


class PaymentRefused(Refusal):
    """The order is not going to be paid: the provider declined, or the payment was released."""


SYNTHETIC_ORDER = "synthetic_order"
"""The reason for which an order of a test is refused where payments are real."""


class NotAuthorized(Exception):
    """The parcel left before the payment was authorized. A later delivery may find it so."""


class State(StrEnum):
    """The state of the payment of an order."""

    AUTHORIZING = "authorizing"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CAPTURING = "capturing"
    CAPTURED = "captured"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    UNCOLLECTED = "uncollected"


class Payment(Aggregate, frozen=True, kw_only=True):
    """The payment of an order. One that was released before it began has no amount."""

    order_id: str
    state: State
    payment_id: str | None = None
    """The provider's id, stored before money can move."""
    amount_minor: int | None = None
    currency: str | None = None
    reason: str | None = None
    authorized_until: Moment | None = None
    expiring: bool = False
    """Whether the end of the authorization was published."""
    was_captured: bool = False
    dispute_id: str | None = None
    """The last dispute, and its outcome once it is closed."""
    dispute_won: bool | None = None
    refunded_minor: int = 0
    """What staff refunded at the provider."""
    failed_refunds: tuple[str, ...] = ()
    """The provider's ids of the refunds that did not reach the customer."""
    refund_failed_at: Moment | None = None
    """The time of the last of those failures."""

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

    @property
    def pending_since(self) -> datetime | None:
        """The time at which its order cannot wait for its parcel any longer, if it waits."""
        waits = self.state is State.AUTHORIZED and not self.expiring
        return self.authorized_until - NOTICE if waits and self.authorized_until else None

    def check(self) -> None:
        """Raises PaymentRefused if no money is going to be held."""
        match self.state:
            case State.DECLINED:
                raise PaymentRefused(self.reason or DeclineReason.PAYMENT_DECLINED)
            case State.AUTHORIZING | State.AUTHORIZED | State.CAPTURING | State.CAPTURED:
                return
            case _:
                raise PaymentRefused(self.reason or "cancelled")

    def opened(self, payment_id: str) -> Change[Self] | None:
        """Takes the provider's id. Raises PaymentRefused if the payment was released."""
        self.check()
        if self.state is State.AUTHORIZING and self.payment_id is None:
            return self.becomes(payment_id=payment_id)
        return None

    def authorized(self, until: datetime) -> Change[Self] | None:
        """Takes the provider's approval. Raises PaymentRefused if the payment was released."""
        self.check()
        if self.state is not State.AUTHORIZING:
            return None
        event = self._event(PaymentAuthorized, authorized_until=until)
        return self.becomes(event, state=State.AUTHORIZED, authorized_until=until)

    def declined(self, reason: DeclineReason) -> Change[Self] | None:
        """Takes the provider's refusal. Raises PaymentRefused if the payment was released."""
        self.check()
        if self.state is not State.AUTHORIZING:
            return None
        event = self._event(PaymentDeclined, reason=reason)
        return self.becomes(event, state=State.DECLINED, reason=reason)

    def capture(self) -> Change[Self] | None:
        """Begins to take the money of a parcel that left. The next step calls the provider.

        Does nothing if the customer gets the money back, because the order was cancelled before.
        Raises NotAuthorized.
        """
        match self.state:
            case State.AUTHORIZING:
                raise NotAuthorized(f"the payment of order {self.order_id} is not authorized yet")
            case State.AUTHORIZED:
                return self.becomes(state=State.CAPTURING)
        return None

    def captured(self) -> Change[Self] | None:
        """Takes the provider's answer: the shop has the money."""
        if self.state is not State.CAPTURING:
            return None
        return self.becomes(self._event(PaymentCaptured), state=State.CAPTURED, was_captured=True)

    def lost(self) -> Change[Self] | None:
        """Takes the provider's answer: it no longer holds the money of a parcel that left."""
        if self.state is not State.CAPTURING:
            return None
        return self.becomes(
            self._event(PaymentUncollected), state=State.UNCOLLECTED, reason="uncollected"
        )

    def expire(self, now: datetime) -> Change[Self] | None:
        """Reports that its order cannot wait any longer, once."""
        if self.pending_since is None or self.pending_since > now:
            return None
        event = self._event(AuthorizationExpiring, authorized_until=self.authorized_until)
        return self.becomes(event, expiring=True)

    def release(self, reason: str) -> Change[Self] | None:
        """Begins to release the money, if any may be held. The next step calls the provider."""
        match self.state:
            case State.AUTHORIZED if self.payment_id is None:
                # Earlier releases knew only the sandbox, whose ids are those of the orders.
                return self.becomes(state=State.CANCELLING, reason=reason, payment_id=self.order_id)
            case State.AUTHORIZING | State.AUTHORIZED | State.CAPTURING | State.CAPTURED:
                return self.becomes(state=State.CANCELLING, reason=reason)
        return None

    def released(self, settlement: Settlement) -> Change[Self] | None:
        """Takes the provider's answer."""
        if self.state is not State.CANCELLING:
            return None
        match settlement:
            case Settlement.NOTHING:
                return self.becomes(state=State.CANCELLED)
            case Settlement.RELEASED:
                return self.becomes(self._event(PaymentReleased), state=State.CANCELLED)
        # The answer to the capture may have been lost.
        first = [] if self.was_captured else [self._event(PaymentCaptured)]
        return self.becomes(
            *first, self._event(PaymentRefunded), state=State.REFUNDED, was_captured=True
        )

    def refund_failed(
        self, refund_id: str, amount_minor: int, failure: str, at: datetime
    ) -> Change[Self] | None:
        """Takes that a refund came back to the shop, once."""
        if refund_id in self.failed_refunds:
            return None
        event = self._event(
            RefundFailed, refund_id=refund_id, failed_minor=amount_minor, failure=failure
        )
        return self.becomes(
            event,
            state=State.REFUND_FAILED if self.state is State.REFUNDED else self.state,
            refunded_minor=max(0, self.refunded_minor - amount_minor),
            failed_refunds=(*self.failed_refunds, refund_id),
            refund_failed_at=max(at, self.refund_failed_at or at),
        )

    def disputed(self, dispute_id: str, amount_minor: int) -> Change[Self] | None:
        """Takes a new dispute, unless its end is known already. Call it once per report."""
        if self.dispute_id == dispute_id and self.dispute_won is not None:
            return None
        event = self._event(PaymentDisputed, dispute_id=dispute_id, disputed_minor=amount_minor)
        return self.becomes(event, dispute_id=dispute_id, dispute_won=None)

    def dispute_closed(self, dispute_id: str, *, won: bool) -> Change[Self]:
        """Takes the end of a dispute. Call it once per report."""
        event = self._event(DisputeClosed, dispute_id=dispute_id, won=won)
        return self.becomes(event, dispute_id=dispute_id, dispute_won=won)

    def refunded_outside(self, refunded_minor: int, at: datetime) -> Change[Self] | None:
        """Takes all that was refunded at the provider, unless the shop itself refunds.

        A report from before a failure does not know of it, and is ignored.
        """
        may_have_money = self.state in {
            *(State.AUTHORIZED, State.CAPTURING, State.CAPTURED, State.REFUND_FAILED)
        }
        outdated = self.refund_failed_at is not None and at <= self.refund_failed_at
        if not may_have_money or outdated or refunded_minor <= self.refunded_minor:
            return None
        noticed = self._event(RefundNoticed, refunded_minor=refunded_minor)
        if refunded_minor < (self.amount_minor or 0):
            return self.becomes(noticed, refunded_minor=refunded_minor)
        if self.state is State.REFUND_FAILED:  # PaymentRefunded was published.
            return self.becomes(noticed, state=State.REFUNDED, refunded_minor=refunded_minor)
        first = [] if self.was_captured else [self._event(PaymentCaptured)]
        return self.becomes(
            *first,
            noticed,
            self._event(PaymentRefunded),
            state=State.REFUNDED,
            was_captured=True,
            reason="refunded at the provider",
            refunded_minor=refunded_minor,
        )

    def canceled_outside(self) -> Change[Self] | None:
        """Takes that the provider released the amount, if the parcel has not left."""
        if self.pending_since is None:
            return None
        event = self._event(AuthorizationExpiring, authorized_until=self.authorized_until)
        return self.becomes(event, expiring=True)

    def _event(self, event_type: type[PaymentEvent], **more: object) -> PaymentEvent:
        return event_type(
            order_id=self.order_id,
            amount_minor=self.amount_minor or 0,
            currency=self.currency or "",
            **more,
        )
