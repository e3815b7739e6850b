"""Follow the return: what returns tells of an order becomes part of its history."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.orders import order_store
from lambdas.returns.events import OrderReturned, ReturnEvent, ReturnRefused, ReturnRequested


@consumer(ReturnRequested, OrderReturned, ReturnRefused, uses=(GET, UPDATE, PUT))
def handler(delivery: Delivery[ReturnEvent]) -> None:
    """Events may overtake each other: the status only goes on, the history is told by time."""
    order_store.follow(delivery.event.order_id, delivery)
