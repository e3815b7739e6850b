"""Sweep orders: lets orders expire whose checkout does not end in time."""

from lambdas.eventing import pending, sweep, telemetry, vault
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import UPDATE
from lambdas.eventing.event import Delivery
from lambdas.orders import order_store
from lambdas.orders.events import Address, OrderExpired, PaymentMethod, SweepDue


@consumer(
    SweepDue,
    publishes=(OrderExpired,),
    uses=(*pending.FIND, UPDATE, *vault.discards(PaymentMethod), *vault.keeps(Address)),
)
def handler(delivery: Delivery[SweepDue]) -> None:
    """Needs no inbox: an order expires once, and not if it changed since it was read."""
    for orders in sweep.in_time(order_store.overdue(), delivery):
        if expired := order_store.expire(orders, delivery):
            telemetry.count("ExpiredOrders", expired)
