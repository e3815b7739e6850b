"""Payments' table: one payment per order, in step with the provider.

The intention is stored before the provider is asked, and the answer after that. After a crash in
between, the next run asks again about the same payment. A payment that was released never holds
money again.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

from lambdas.eventing.event import Cause
from lambdas.eventing.store import Store
from lambdas.eventing.transaction import AlreadyProcessed
from lambdas.orders.events import OrderPlaced, PaymentMethod
from lambdas.payments.domain import Payment, PaymentRefused, State
from lambdas.payments.provider import (
    Declined,
    NoLongerHeld,
    PaymentProvider,
    Settlement,
    Unavailable,
)
from lambdas.payments.provider_event import Report
from lambdas.payments.settings import settings

T = TypeVar("T")

_payments = Store(
    Payment,
    "payment",
    settings,
    lambda order_id: (f"PAYMENT#{order_id}", "PAYMENT"),
    id_field="order_id",
    whole=True,
    formerly=["state"],
)


class PaymentUnavailable(Exception):
    """The provider gave no answer. Trying again soon may help."""


def authorize(
    order: OrderPlaced, method: PaymentMethod | None, provider: PaymentProvider, cause: Cause
) -> None:
    """Has the provider hold the order's total; does nothing if it does already.

    Without a means of payment, because it was deleted, the checkout has to be undone. Raises
    PaymentRefused or PaymentUnavailable.
    """
    order_id = order.order_id
    payment, _ = _payments.change(
        order_id, Payment.check, cause, begin=lambda: Payment.begin(order)
    )
    if payment.state is not State.AUTHORIZING:
        return
    if method is None:
        raise PaymentRefused("payment_data_deleted")
    token = method.token
    try:
        if payment.payment_id is None:
            payment_id = _ask(
                lambda: provider.open(
                    order_id, amount_minor=order.total_minor, currency=order.currency
                )
            )
            payment, _ = _payments.change(
                order_id, lambda found: found.opened(payment_id), cause, last=payment
            )
        if payment.state is State.AUTHORIZING and payment.payment_id:
            opened = payment.payment_id
            until = _ask(lambda: provider.authorize(opened, token=token))
            payment, _ = _payments.change(
                order_id, lambda found: found.authorized(until), cause, last=payment
            )
    except Declined as error:
        reason = error.reason
        payment, _ = _payments.change(
            order_id, lambda found: found.declined(reason), cause, last=payment
        )
    payment.check()


def capture(order_id: str, provider: PaymentProvider, cause: Cause) -> Payment:
    """Takes the money of an order whose parcel left, unless the customer gets it back.

    Safe to repeat. Raises PaymentUnavailable, NotAuthorized, or NotStored.
    """
    payment, _ = _payments.change(order_id, Payment.capture, cause)
    if payment.state is State.CAPTURING:
        held = payment.payment_id or order_id
        try:
            _ask(lambda: provider.capture(held))
        except NoLongerHeld:
            payment, _ = _payments.change(order_id, Payment.lost, cause, last=payment)
        else:
            payment, _ = _payments.change(order_id, Payment.captured, cause, last=payment)
    return payment


def release(order_id: str, reason: str, provider: PaymentProvider, cause: Cause) -> None:
    """Releases what the provider holds for the order, or refunds it, and holds no more of it.

    Also closes a declined payment at the provider. Safe to repeat, to run before the authorization,
    and to resume after a crash. Raises PaymentUnavailable.
    """
    payment, _ = _payments.change(
        order_id,
        lambda found: found.release(reason),
        cause,
        begin=lambda: Payment.block(order_id, reason),
    )
    if payment.state is State.CANCELLING:
        settlement = Settlement.NOTHING
        if opened := payment.payment_id:
            settlement = _ask(lambda: provider.release(opened))
        _payments.change(order_id, lambda found: found.released(settlement), cause, last=payment)
    elif payment.state is State.DECLINED and (refused := payment.payment_id):
        _ask(lambda: provider.release(refused))


def take(order_id: str, report: Report, inbox: tuple[str, str], cause: Cause) -> bool:
    """Takes a report of the provider into a payment. Whether the report changed it.

    The inbox key makes a repeated report change nothing. Raises NotStored.
    """
    try:
        return _payments.change(order_id, report.apply, cause, inbox=inbox)[1]
    except AlreadyProcessed:
        return False


def expiring() -> Iterator[list[Payment]]:
    """Yields the payments whose orders cannot wait any longer, oldest first, in batches."""
    return _payments.pending_batches(before=datetime.now(UTC))


def expire(payments: Iterable[Payment], cause: Cause) -> int:
    """Returns how many authorizations this call reports: those that did not change meanwhile.

    `payments` is a batch of `expiring`.
    """
    now = datetime.now(UTC)
    changes = [(payment, change) for payment in payments if (change := payment.expire(now))]
    return len(_payments.commit_all(changes, cause))


def _ask(call: Callable[[], T]) -> T:
    """Returns the provider's answer. Raises PaymentUnavailable, and what the call raises."""
    try:
        return call()
    except Unavailable as error:
        raise PaymentUnavailable("payment_unavailable") from error
