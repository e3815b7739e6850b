"""Complete a return: the last step, after the refund and the restocking."""

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.returns import return_store
from lambdas.returns.events import OrderReturned, ReturnRequested


@task(ReturnRequested, publishes=(OrderReturned,), uses=(GET, UPDATE))
def handler(delivery: Delivery[ReturnRequested], _: Failure | None) -> None:
    """Does nothing if the return is complete already."""
    return_store.complete(delivery.event.order_id, delivery)
