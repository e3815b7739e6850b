"""Refund the payment of a returned order: a step of its return."""

from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.payments import payment_store
from lambdas.payments.events import RELEASE_EVENTS
from lambdas.payments.providers import provider
from lambdas.returns.events import ReturnRequested


@task(ReturnRequested, publishes=RELEASE_EVENTS, uses=(GET, PUT))
def handler(delivery: Delivery[ReturnRequested], _: Failure | None) -> None:
    """Raises PaymentUnavailable if the provider gives no answer."""
    payment_store.release(delivery.event.order_id, "returned", provider(), delivery)
