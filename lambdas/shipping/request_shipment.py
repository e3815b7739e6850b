"""Request a shipment: have the carrier deliver a confirmed order, and schedule its deadline."""

from lambdas.eventing import telemetry, vault
from lambdas.eventing.consumer import Unprocessable, consumer
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.orders.events import Address, OrderConfirmed
from lambdas.shipping import domain, shipment_store
from lambdas.shipping.carrier import Undeliverable
from lambdas.shipping.carriers import carrier, takes
from lambdas.shipping.events import ShipmentRequested
from lambdas.shipping.settings import request_settings


@consumer(OrderConfirmed, publishes=(ShipmentRequested,), uses=(GET, PUT, *vault.redeems(Address)))
def handler(delivery: Delivery[OrderConfirmed]) -> None:
    """Needs no inbox: requesting a shipment again changes nothing.

    Raises Unavailable, or Unprocessable for an address that the carrier rejects, or that was
    deleted before the order shipped. A real carrier is not asked about a synthetic order, which its
    customer cancels.
    """
    if not takes(delivery):
        telemetry.logger().info("no real carrier is asked about a synthetic order")
        return
    due_at = domain.due_at(delivery.envelope.time, request_settings().delivery_hours)
    address = vault.redeem(Address, delivery)
    try:
        shipment_store.request(delivery.event, address, due_at, carrier(), delivery)
    except (Undeliverable, shipment_store.NoAddress) as error:
        raise Unprocessable(str(error)) from error
