"""Request a shipment: have the carrier deliver a confirmed order, and schedule its deadline."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.orders.events import OrderConfirmed
from lambdas.shipping import domain, shipment_store
from lambdas.shipping.events import ShipmentRequested
from lambdas.shipping.sandbox_carrier import SandboxCarrier
from lambdas.shipping.settings import request_settings


@consumer(OrderConfirmed, publishes=(ShipmentRequested,), uses=(GET, PUT))
def handler(delivery: Delivery[OrderConfirmed]) -> None:
    """Needs no inbox: requesting a shipment again changes nothing. Raises Unavailable."""
    due_at = domain.due_at(delivery.envelope.time, request_settings().delivery_hours)
    carrier = SandboxCarrier(request_settings().carrier_table_name)
    shipment_store.request(delivery.event, due_at, carrier, delivery)
