"""Refund the payment of an order that ended before it was confirmed or shipped."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.orders.events import OrderCancelled, OrderEvent, OrderExpired
from lambdas.payments import payment_store
from lambdas.payments.events import RELEASE_EVENTS
from lambdas.payments.providers import provider


@consumer(OrderCancelled, OrderExpired, publishes=RELEASE_EVENTS, uses=(GET, PUT))
def handler(delivery: Delivery[OrderEvent]) -> None:
    """Needs no inbox: releasing a payment again changes nothing."""
    reason = "expired" if isinstance(delivery.event, OrderExpired) else "cancelled"
    payment_store.release(delivery.event.order_id, reason, provider(), delivery)
