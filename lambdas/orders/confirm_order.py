"""Confirm an order: after this step, its checkout only goes forward."""

from datetime import timedelta

from lambdas.eventing import telemetry, vault
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.orders import order_store
from lambdas.orders.domain import Status
from lambdas.orders.events import Address, OrderConfirmed, OrderPlaced, PaymentMethod


@task(
    OrderPlaced,
    publishes=(OrderConfirmed,),
    uses=(GET, UPDATE, *vault.deposits(Address), *vault.discards(PaymentMethod)),
)
def handler(delivery: Delivery[OrderPlaced], _: Failure | None) -> None:
    """Does nothing if the order is confirmed already. Raises OrderClosed."""
    order, confirmed = order_store.confirm(delivery.event.order_id, delivery)
    if confirmed:
        waited = order.history[Status.CONFIRMED].at - order.placed_at
        if not delivery.synthetic:
            telemetry.count("OrdersConfirmed")
        telemetry.measure("PlacedToConfirmed", waited / timedelta(milliseconds=1))
