"""Refuse a return: somebody decided so, or nobody decided in time."""

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.returns import return_store
from lambdas.returns.events import ReturnRefused, ReturnRequested


@task(ReturnRequested, publishes=(ReturnRefused,), uses=(GET, UPDATE))
def handler(delivery: Delivery[ReturnRequested], _: Failure | None) -> None:
    """Raises ApprovalStands if somebody approved it at the last moment."""
    return_store.refuse(delivery.event.order_id, delivery)
