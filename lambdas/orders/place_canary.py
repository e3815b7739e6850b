"""Place a canary order: it shows that orders come to an end while no customer orders anything."""

from datetime import UTC, datetime, timedelta

from lambdas.eventing import telemetry, vault
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import PUT
from lambdas.eventing.event import Delivery
from lambdas.orders import domain, order_store
from lambdas.orders.events import Address, CanaryDue, OrderPlaced, PaymentMethod


@consumer(
    CanaryDue,
    publishes=(OrderPlaced,),
    uses=(PUT, *order_store.BY_CUSTOMER.find, *vault.deposits(Address, PaymentMethod)),
)
def handler(delivery: Delivery[CanaryDue]) -> None:
    """Measures how long the last canary order took, and places the next one.

    Needs no inbox: the id of the event is that of the order. The order is synthetic, and its item
    is never in stock: it passes the bus, the checkout and inventory, and is rejected.
    """
    now = datetime.now(UTC)
    for last in order_store.of_customer(domain.CANARY, limit=1, after=None).found:
        waited = last.ended_at(now) - last.placed_at
        telemetry.measure("CanaryOrder", waited / timedelta(milliseconds=1))
    order_store.place_once(domain.canary(delivery.event_id, now), delivery)
