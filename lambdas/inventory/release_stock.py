"""Release stock: compensation of `reserve_stock` in a checkout that failed."""

from lambdas.eventing.declaration import GET, PUT, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.inventory import stock_store
from lambdas.inventory.events import StockReleased
from lambdas.orders.events import OrderPlaced


@task(OrderPlaced, publishes=(StockReleased,), uses=(GET, UPDATE, PUT))
def handler(delivery: Delivery[OrderPlaced], failure: Failure | None) -> None:
    """Stores the reason, so that a repeated checkout of the order ends for the same reason."""
    reason = failure.reason if failure else "released"
    stock_store.release(delivery.event.order_id, reason, delivery)
