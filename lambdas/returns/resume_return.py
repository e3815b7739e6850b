"""Resume a return: gives the decision to the workflow."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET
from lambdas.eventing.event import Delivery
from lambdas.returns import return_store, workflow
from lambdas.returns.events import ReturnDecided


@consumer(ReturnDecided, uses=(GET,))
def handler(delivery: Delivery[ReturnDecided]) -> None:
    """Needs no inbox: the workflow takes an answer once."""
    workflow.resume(return_store.require(delivery.event.order_id))
