"""Recall the shipment of a cancelled order."""

from lambdas.eventing import telemetry
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.orders.events import OrderCancelled
from lambdas.shipping import shipment_store
from lambdas.shipping.carriers import carrier
from lambdas.shipping.events import OrderDelivered, OrderShipped, ShipmentRecalled


@consumer(
    OrderCancelled, publishes=(ShipmentRecalled, OrderShipped, OrderDelivered), uses=(GET, PUT)
)
def handler(delivery: Delivery[OrderCancelled]) -> None:
    """Needs no inbox: recalling a parcel again changes nothing. Raises Unavailable."""
    if not shipment_store.recall(delivery.event, carrier(), delivery):
        telemetry.count("RecallsTooLate")
