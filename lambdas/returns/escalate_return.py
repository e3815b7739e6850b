"""Escalate a return: nobody of the shop has looked at it for too long."""

from lambdas.eventing import telemetry
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.returns import return_store
from lambdas.returns.events import ReturnRequested


@task(ReturnRequested, uses=(GET, UPDATE))
def handler(delivery: Delivery[ReturnRequested], _: Failure | None) -> None:
    """Counts, which raises an alarm. The return goes on waiting."""
    if return_store.escalate(delivery.event.order_id, delivery):
        telemetry.count("EscalatedReturns")
