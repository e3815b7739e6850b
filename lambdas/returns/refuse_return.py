"""Refuse a return: staff declined it, or did not decide in time."""

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.returns import return_store
from lambdas.returns.events import ReturnRefused, ReturnRefusedV1, ReturnRequested


@task(ReturnRequested, publishes=(ReturnRefused, ReturnRefusedV1), uses=(GET, UPDATE))
def handler(delivery: Delivery[ReturnRequested], _: Failure | None) -> None:
    """Raises ApprovalStands if staff approved it at the last moment."""
    return_store.refuse(delivery.event.order_id, delivery)
