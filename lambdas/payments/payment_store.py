"""Payments' table: one payment per order, in step with the provider.

The intention is stored before the provider is asked, and the answer after: a crash in between is
resumed with the same idempotency key. A payment that was let go of never takes money again.
"""

import msgspec

from lambdas.eventing.event import Cause
from lambdas.eventing.task import Refusal
from lambdas.eventing.transaction import (
    ConditionFailed,
    Contention,
    Key,
    Transaction,
    read,
)
from lambdas.orders.events import OrderPlaced
from lambdas.payments.domain import CANCELLABLE, State
from lambdas.payments.events import (
    PaymentAuthorized,
    PaymentDeclined,
    PaymentEvent,
    PaymentRefunded,
)
from lambdas.payments.provider import Declined, PaymentProvider, Unavailable
from lambdas.payments.settings import settings

_TRIES = 5


class PaymentRefused(Refusal):
    """The order is not going to be paid: the provider declined, or the payment was let go of."""


class PaymentUnavailable(Exception):
    """The provider gave no answer. Trying again soon may help."""


class _Payment(msgspec.Struct, frozen=True):
    """A payment as stored. One that was let go of before it began has no amount."""

    state: State
    amount_minor: int | None = None
    currency: str | None = None
    reason: str | None = None


def authorize(order: OrderPlaced, provider: PaymentProvider, cause: Cause) -> None:
    """Has the provider hold the order's total; does nothing if it does already.

    Raises PaymentRefused or PaymentUnavailable.
    """
    for _ in range(_TRIES):
        payment = _payment(order.order_id)
        if payment is None:
            _begin(order, cause)
        elif payment.state is State.AUTHORIZED:
            return
        elif payment.state is State.DECLINED:
            raise PaymentRefused("payment_declined")
        elif payment.state is not State.AUTHORIZING:
            raise PaymentRefused(payment.reason or "cancelled")
        else:
            _ask(order, provider, cause)
    raise Contention(f"the payment of order {order.order_id} kept changing while it was made")


def let_go(order_id: str, reason: str, provider: PaymentProvider, cause: Cause) -> None:
    """Gives back what the provider holds for the order, and takes no money for it from now on.

    Safe to repeat, to run before the authorization, and to resume after a crash. Raises
    PaymentUnavailable.
    """
    for _ in range(_TRIES):
        payment = _payment(order_id)
        if payment is None:
            tombstone = _Payment(State.CANCELLED, reason=reason)
            _write(order_id, tombstone, cause, expected=None)
        elif payment.state in CANCELLABLE:
            leaving = msgspec.structs.replace(payment, state=State.CANCELLING, reason=reason)
            _write(order_id, leaving, cause, expected=payment.state)
        elif payment.state is State.CANCELLING:
            try:
                refunded = provider.cancel(order_id)
            except Unavailable as error:
                raise PaymentUnavailable("payment_unavailable") from error
            gone = msgspec.structs.replace(payment, state=State.CANCELLED)
            event = _event(PaymentRefunded, order_id, payment) if refunded else None
            _write(order_id, gone, cause, expected=State.CANCELLING, event=event)
        else:
            return
    raise Contention(f"the payment of order {order_id} kept changing while it was let go of")


def _begin(order: OrderPlaced, cause: Cause) -> None:
    payment = _Payment(State.AUTHORIZING, order.total_minor, order.currency)
    _write(order.order_id, payment, cause, expected=None)


def _ask(order: OrderPlaced, provider: PaymentProvider, cause: Cause) -> None:
    asked = _Payment(State.AUTHORIZING, order.total_minor, order.currency)
    event_type: type[PaymentEvent]
    try:
        provider.authorize(
            order.order_id,
            token=order.payment_token,
            amount_minor=order.total_minor,
            currency=order.currency,
        )
    except Unavailable as error:
        raise PaymentUnavailable("payment_unavailable") from error
    except Declined:
        answer, event_type = State.DECLINED, PaymentDeclined
    else:
        answer, event_type = State.AUTHORIZED, PaymentAuthorized
    answered = msgspec.structs.replace(asked, state=answer)
    event = _event(event_type, order.order_id, asked)
    _write(order.order_id, answered, cause, expected=State.AUTHORIZING, event=event)


def _event(event_type: type[PaymentEvent], order_id: str, payment: _Payment) -> PaymentEvent:
    return event_type(
        order_id=order_id,
        amount_minor=payment.amount_minor or 0,
        currency=payment.currency or "",
    )


def _write(
    order_id: str,
    payment: _Payment,
    cause: Cause,
    *,
    expected: State | None,
    event: PaymentEvent | None = None,
) -> None:
    """Moves the payment on from `expected`; if somebody else did first, the caller looks again."""
    key = _key(order_id)
    transaction = Transaction(settings(), cause)
    item = {"kind": "payment", **msgspec.to_builtins(payment)}
    if expected is None:
        transaction.create(key, item)
    else:
        transaction.put(
            key,
            item,
            condition="#state = :expected",
            names={"#state": "state"},
            values={":expected": expected.value},
        )
    if event:
        transaction.publish(key, event)
    try:
        transaction.commit()
    except ConditionFailed:
        return


def _payment(order_id: str) -> _Payment | None:
    stored = read(settings(), _key(order_id))
    return msgspec.convert(stored, _Payment) if stored else None


def _key(order_id: str) -> Key:
    return (f"PAYMENT#{order_id}", "PAYMENT")
