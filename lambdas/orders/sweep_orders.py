"""Sweep orders: those whose checkout does not come to an end expire."""

from lambdas.eventing import telemetry
from lambdas.eventing.consumer import consumer
from lambdas.eventing.event import Delivery
from lambdas.orders import order_store
from lambdas.orders.events import SweepDue

MOST = 100
"""Orders that one sweep lets expire; the next one goes on where it stopped."""


@consumer(SweepDue)
def handler(delivery: Delivery[SweepDue]) -> None:
    """Needs no inbox: an order leaves `placed` once, and whoever is second leaves it alone."""
    for order in order_store.overdue(limit=MOST):
        if order_store.expire(order, delivery):
            telemetry.count("ExpiredOrders")
