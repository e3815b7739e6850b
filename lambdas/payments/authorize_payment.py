"""Authorize payment: have the provider hold the total of an order."""

from lambdas.eventing import vault
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.orders.events import OrderPlaced, PaymentMethod
from lambdas.payments import payment_store
from lambdas.payments.domain import SYNTHETIC_ORDER, PaymentRefused
from lambdas.payments.events import PaymentAuthorized, PaymentDeclined
from lambdas.payments.providers import provider, takes


@task(
    OrderPlaced,
    publishes=(PaymentAuthorized, PaymentDeclined),
    uses=(GET, PUT, *vault.redeems(PaymentMethod)),
)
def handler(delivery: Delivery[OrderPlaced], _: Failure | None) -> None:
    """Raises PaymentRefused for a final answer, and PaymentUnavailable for a passing failure.

    A real provider is not asked about a synthetic order: its payment is refused.
    """
    if not takes(delivery):
        raise PaymentRefused(SYNTHETIC_ORDER)
    method = vault.redeem(PaymentMethod, delivery)
    payment_store.authorize(delivery.event, method, provider(), delivery)
