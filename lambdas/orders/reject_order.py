"""Reject an order: after this step, its checkout only goes back."""

from lambdas.eventing import telemetry, vault
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.orders import order_store
from lambdas.orders.events import (
    Address,
    OrderPlaced,
    OrderRejected,
    OrderRejectedV1,
    PaymentMethod,
)


@task(
    OrderPlaced,
    publishes=(OrderRejected, OrderRejectedV1),
    uses=(GET, UPDATE, *vault.discards(PaymentMethod), *vault.keeps(Address)),
)
def handler(delivery: Delivery[OrderPlaced], failure: Failure | None) -> None:
    """Does nothing if the order is closed already. Raises OrderStands."""
    reason = failure.reason if failure else "unknown"
    rejected = order_store.reject(delivery.event.order_id, reason, delivery)
    if rejected and not delivery.synthetic:
        telemetry.count("OrdersRejected")
