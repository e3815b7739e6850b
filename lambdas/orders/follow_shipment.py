"""Follow the shipment: adds the events of a shipment to the history of its order."""

from lambdas.eventing import vault
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT, UPDATE, formerly
from lambdas.eventing.event import Delivery
from lambdas.orders import order_store
from lambdas.orders.events import Address
from lambdas.shipping.events import (
    OrderDelivered,
    OrderShipped,
    ShipmentEvent,
    ShipmentOverdue,
    ShipmentRecalled,
    ShipmentRequested,
)


@consumer(
    ShipmentRequested,
    OrderShipped,
    OrderDelivered,
    ShipmentOverdue,
    ShipmentRecalled,
    uses=(GET, UPDATE, formerly(PUT), *vault.keeps(Address)),
)
def handler(delivery: Delivery[ShipmentEvent]) -> None:
    """Events may overtake each other: the status moves forward only, the history is in order."""
    order_store.follow(delivery.event.order_id, delivery)
