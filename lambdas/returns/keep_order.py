"""Keep an order: whose it is and when it was delivered, for the day that it comes back."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import UPDATE
from lambdas.eventing.event import Delivery, Event
from lambdas.orders.events import OrderConfirmed
from lambdas.returns import return_store
from lambdas.shipping.events import OrderDelivered


@consumer(OrderConfirmed, OrderDelivered, uses=(UPDATE,))
def handler(delivery: Delivery[Event]) -> None:
    """The two come in either order. Needs no inbox: each writes the same fact again."""
    match delivery.event:
        case OrderConfirmed(order_id=order_id, customer_id=customer_id):
            return_store.keep_customer(order_id, customer_id, delivery)
        case OrderDelivered(order_id=order_id):
            return_store.keep_delivery(order_id, delivery.envelope.time, delivery)
