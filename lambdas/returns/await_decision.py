"""Await a decision: the workflow waits until staff decide about the return."""

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import waiting_task
from lambdas.returns import return_store, workflow
from lambdas.returns.events import ReturnRequested


@waiting_task(ReturnRequested, uses=(GET, UPDATE))
def handler(delivery: Delivery[ReturnRequested], token: str) -> None:
    """Answers at once if staff decided while no workflow waited."""
    workflow.resume(return_store.await_decision(delivery.event.order_id, token, delivery))
