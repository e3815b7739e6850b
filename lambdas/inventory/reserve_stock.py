"""Reserve stock: all units of an order, or none."""

from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.inventory import stock_store
from lambdas.inventory.domain import reserved_items
from lambdas.orders.events import OrderPlaced


@task(OrderPlaced)
def handler(delivery: Delivery[OrderPlaced], _: Failure | None) -> None:
    """Raises StockRefused if an item is lacking."""
    order = delivery.event
    items = reserved_items((line.sku, line.quantity) for line in order.lines)
    stock_store.reserve(order.order_id, items, delivery)
