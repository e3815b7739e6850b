"""Reject an order: the end of a checkout that failed and has been compensated."""

from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.orders import order_store
from lambdas.orders.domain import Status
from lambdas.orders.events import OrderPlaced, OrderRejected


@task(OrderPlaced)
def handler(delivery: Delivery[OrderPlaced], failure: Failure | None) -> None:
    """Leaves an order alone that was cancelled, or rejected before."""
    reason = failure.reason if failure else "unknown"
    order = order_store.require(delivery.event.order_id)
    if order.status is Status.PLACED:
        rejected = OrderRejected(
            order_id=order.order_id, customer_id=order.customer_id, reason=reason
        )
        order_store.change_status(order, Status.REJECTED, rejected, delivery, reason=reason)
