"""Keep an order: stores its customer and the time of its delivery, for a later return."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import UPDATE
from lambdas.eventing.event import Delivery, Event
from lambdas.orders.events import OrderConfirmed
from lambdas.returns import return_store
from lambdas.shipping.events import OrderDelivered


@consumer(OrderConfirmed, OrderDelivered, uses=(UPDATE,))
def handler(delivery: Delivery[Event]) -> None:
    """The events arrive in either order. Needs no inbox: a repetition writes the same fact."""
    match delivery.event:
        case OrderConfirmed(order_id=order_id, customer_id=customer_id):
            return_store.keep_customer(order_id, customer_id, delivery)
        case OrderDelivered(order_id=order_id):
            return_store.keep_delivery(order_id, delivery.envelope.time, delivery)
