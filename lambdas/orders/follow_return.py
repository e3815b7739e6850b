"""Follow the return: adds the events of a return to the history of its order."""

from lambdas.eventing import vault
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT, UPDATE, formerly
from lambdas.eventing.event import Delivery
from lambdas.orders import order_store
from lambdas.orders.events import Address
from lambdas.returns.events import OrderReturned, ReturnEvent, ReturnRefused, ReturnRequested


@consumer(
    ReturnRequested,
    OrderReturned,
    ReturnRefused,
    uses=(GET, UPDATE, formerly(PUT), *vault.keeps(Address)),
)
def handler(delivery: Delivery[ReturnEvent]) -> None:
    """Events may overtake each other: the status moves forward only, the history is in order."""
    order_store.follow(delivery.event.order_id, delivery)
