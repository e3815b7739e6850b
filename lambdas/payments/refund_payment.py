"""Refund payment: compensation of `authorize_payment` in a checkout that failed."""

from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.orders.events import OrderPlaced
from lambdas.payments import payment_store
from lambdas.payments.events import PaymentReleased
from lambdas.payments.providers import provider


@task(OrderPlaced, publishes=(PaymentReleased,), uses=(GET, PUT))
def handler(delivery: Delivery[OrderPlaced], failure: Failure | None) -> None:
    """Also covers an authorization whose answer was lost. Nothing was captured before shipping."""
    reason = failure.reason if failure else "cancelled"
    payment_store.release(delivery.event.order_id, reason, provider(), delivery)
