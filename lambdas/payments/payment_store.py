"""Payments' table: one payment per order, in step with the provider.

The intention is stored before the provider is asked, and the answer after that. After a crash in
between, the next run asks again with the same idempotency key. A payment that was released never
holds money again.
"""

from lambdas.eventing.event import Cause
from lambdas.eventing.store import Store
from lambdas.orders.events import OrderPlaced, PaymentMethod
from lambdas.payments.domain import Payment, PaymentRefused, State
from lambdas.payments.provider import Declined, PaymentProvider, Unavailable
from lambdas.payments.settings import settings

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
    payment, _ = _payments.change(
        order.order_id, Payment.check, cause, begin=lambda: Payment.begin(order)
    )
    if payment.state is State.AUTHORIZING:
        if method is None:
            raise PaymentRefused("payment_data_deleted")
        approved = _ask(order, method.token, provider)
        payment, _ = _payments.change(
            order.order_id, lambda found: found.answered(approved=approved), cause
        )
        payment.check()


def release(order_id: str, reason: str, provider: PaymentProvider, cause: Cause) -> None:
    """Releases what the provider holds for the order, and holds no money for it from now on.

    Safe to repeat, to run before the authorization, and to resume after a crash. Raises
    PaymentUnavailable.
    """
    payment, _ = _payments.change(
        order_id,
        lambda found: found.release(reason),
        cause,
        begin=lambda: Payment.block(order_id, reason),
    )
    if payment.state is State.CANCELLING:
        try:
            refunded = provider.cancel(order_id)
        except Unavailable as error:
            raise PaymentUnavailable("payment_unavailable") from error
        _payments.change(order_id, lambda found: found.released(refunded=refunded), cause)


def _ask(order: OrderPlaced, token: str, provider: PaymentProvider) -> bool:
    """Whether the provider holds the order's total now."""
    try:
        provider.authorize(
            order.order_id,
            token=token,
            amount_minor=order.total_minor,
            currency=order.currency,
        )
    except Unavailable as error:
        raise PaymentUnavailable("payment_unavailable") from error
    except Declined:
        return False
    return True
