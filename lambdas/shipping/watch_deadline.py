"""Watch a deadline: publish that a shipment was not delivered in time."""

from datetime import UTC, datetime

from lambdas.eventing import telemetry
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.shipping import shipment_store
from lambdas.shipping.events import ShipmentDue, ShipmentOverdue


@consumer(ShipmentDue, publishes=(ShipmentOverdue,), uses=(GET, PUT))
def handler(delivery: Delivery[ShipmentDue]) -> None:
    """Needs no inbox: a shipment becomes overdue once. Raises TooEarly for an early reminder."""
    if shipment_store.check(delivery.event.order_id, datetime.now(UTC), delivery):
        telemetry.count("OverdueShipments")
