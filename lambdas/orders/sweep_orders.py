"""Sweep orders: those whose checkout does not come to an end expire."""

from lambdas.eventing import pending, telemetry
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import UPDATE
from lambdas.eventing.event import Delivery
from lambdas.orders import order_store
from lambdas.orders.domain import Status
from lambdas.orders.events import OrderExpired, SweepDue

MOST = 100
"""Orders that one sweep lets expire; the next one goes on where it stopped."""


@consumer(SweepDue, publishes=(OrderExpired,), uses=(*pending.FIND, UPDATE))
def handler(delivery: Delivery[SweepDue]) -> None:
    """Needs no inbox: an order leaves `placed` once, and whoever is second leaves it alone."""
    for order in order_store.overdue(limit=MOST):
        expired = OrderExpired(order_id=order.order_id, customer_id=order.customer_id)
        if order_store.change_status(order, Status.EXPIRED, expired, delivery):
            telemetry.count("ExpiredOrders")
