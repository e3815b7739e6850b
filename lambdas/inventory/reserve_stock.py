"""Reserve stock: all units of an order, or none."""

from lambdas.eventing.declaration import BATCH_GET, GET, PUT, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.inventory import stock_store
from lambdas.inventory.domain import reserved_items
from lambdas.inventory.events import StockDepleted, StockReserved
from lambdas.orders.events import OrderPlaced


@task(OrderPlaced, publishes=(StockReserved, StockDepleted), uses=(GET, BATCH_GET, UPDATE, PUT))
def handler(delivery: Delivery[OrderPlaced], _: Failure | None) -> None:
    """Raises StockRefused if an item is lacking."""
    order = delivery.event
    items = reserved_items((line.sku, line.quantity) for line in order.lines)
    stock_store.reserve(order.order_id, items, delivery)
