"""Authorize payment: have the provider hold the total of an order."""

from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.orders.events import OrderPlaced
from lambdas.payments import payment_store
from lambdas.payments.events import PaymentAuthorized, PaymentDeclined
from lambdas.payments.providers import provider


@task(OrderPlaced, publishes=(PaymentAuthorized, PaymentDeclined), uses=(GET, PUT))
def handler(delivery: Delivery[OrderPlaced], _: Failure | None) -> None:
    """Raises PaymentRefused for a final answer, and PaymentUnavailable for a passing failure."""
    payment_store.authorize(delivery.event, delivery.event.payment_token, provider(), delivery)
