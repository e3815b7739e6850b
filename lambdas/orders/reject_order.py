"""Reject an order: the point from which its checkout only goes back."""

from lambdas.eventing import telemetry
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, Refusal, task
from lambdas.orders import order_store
from lambdas.orders.domain import CLOSED, Status
from lambdas.orders.events import OrderPlaced, OrderRejected, OrderRejectedV1, RejectionReason


class OrderStands(Refusal):
    """Another run of the same checkout has confirmed the order: nothing may be undone by this one.

    Nor if the order was cancelled after that: its customer may have the units by now.
    """


@task(OrderPlaced, publishes=(OrderRejected, OrderRejectedV1), uses=(GET, UPDATE))
def handler(delivery: Delivery[OrderPlaced], failure: Failure | None) -> None:
    """Leaves an order alone that is closed already. Raises OrderStands."""
    reason = failure.reason if failure else "unknown"
    order = order_store.require(delivery.event.order_id)
    if order.status is Status.PLACED:
        ids = {"order_id": order.order_id, "customer_id": order.customer_id}
        changed = order_store.change_status(
            order,
            Status.REJECTED,
            OrderRejected(**ids, reason=RejectionReason.of(reason)),
            delivery,
            also_as=[OrderRejectedV1(**ids, reason=reason)],
            reason=reason,
        )
        if changed:
            telemetry.count("OrdersRejected")
            return
        order = order_store.require(delivery.event.order_id)
    if Status.CONFIRMED in order.history or order.status not in CLOSED:
        raise OrderStands(order.status.value)
