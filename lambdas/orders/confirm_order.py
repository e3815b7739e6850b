"""Confirm an order: the point from which its checkout only goes forward."""

from datetime import timedelta

from lambdas.eventing import telemetry
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, Refusal, task
from lambdas.orders import order_store
from lambdas.orders.domain import CLOSED, Status
from lambdas.orders.events import OrderConfirmed, OrderPlaced


class OrderClosed(Refusal):
    """The order was cancelled or rejected, or expired, before it could be confirmed."""


@task(OrderPlaced, publishes=(OrderConfirmed,), uses=(GET, UPDATE))
def handler(delivery: Delivery[OrderPlaced], _: Failure | None) -> None:
    """Does nothing if the order is confirmed already. Raises OrderClosed."""
    order = order_store.require(delivery.event.order_id)
    if order.status is Status.PLACED:
        confirmed = OrderConfirmed(
            order_id=order.order_id,
            customer_id=order.customer_id,
            currency=order.currency,
            total_minor=order.total_minor,
            lines=order.lines,
            shipping_address=order.shipping_address,
        )
        if moved := order_store.change_status(order, Status.CONFIRMED, confirmed, delivery):
            waited = moved.history[Status.CONFIRMED].at - order.placed_at
            telemetry.count("OrdersConfirmed")
            telemetry.measure("PlacedToConfirmed", waited / timedelta(milliseconds=1))
            return
        order = order_store.require(delivery.event.order_id)
    if order.status in CLOSED:
        raise OrderClosed(order.status.value)
