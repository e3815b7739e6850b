"""Refund the payment of an order that the customer cancelled."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.event import Delivery
from lambdas.orders.events import OrderCancelled
from lambdas.payments import payment_store
from lambdas.payments.sandbox_provider import SandboxProvider
from lambdas.payments.settings import settings


@consumer(OrderCancelled)
def handler(delivery: Delivery[OrderCancelled]) -> None:
    """Needs no inbox: letting go of a payment again changes nothing."""
    provider = SandboxProvider(settings().provider_table_name)
    payment_store.let_go(delivery.event.order_id, "cancelled", provider, delivery)
