"""Restock a returned order: a step of its return."""

from lambdas.eventing.declaration import GET, PUT, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.inventory import stock_store
from lambdas.inventory.events import StockReleased
from lambdas.returns.events import ReturnRequested


@task(ReturnRequested, publishes=(StockReleased,), uses=(GET, UPDATE, PUT))
def handler(delivery: Delivery[ReturnRequested], _: Failure | None) -> None:
    """Puts the units of the order back for sale, once."""
    stock_store.release(delivery.event.order_id, "returned", delivery)
