"""Capture the payment of an order whose parcel left."""

from lambdas.eventing import telemetry
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.payments import payment_store
from lambdas.payments.domain import State
from lambdas.payments.events import PaymentCaptured, PaymentUncollected
from lambdas.payments.providers import provider
from lambdas.shipping.events import OrderShipped


@consumer(OrderShipped, publishes=(PaymentCaptured, PaymentUncollected), uses=(GET, PUT))
def handler(delivery: Delivery[OrderShipped]) -> None:
    """Needs no inbox: capturing a payment again changes nothing."""
    payment = payment_store.capture(delivery.event.order_id, provider(), delivery)
    if payment.state is State.UNCOLLECTED:
        telemetry.count("UncollectedPayments")
