"""Follow the shipment: what shipping tells of an order becomes part of its history."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.orders import order_store
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
    uses=(GET, UPDATE, PUT),
)
def handler(delivery: Delivery[ShipmentEvent]) -> None:
    """Events may overtake each other: the status only goes on, the history is told by time."""
    order_store.follow(delivery.event.order_id, delivery)
