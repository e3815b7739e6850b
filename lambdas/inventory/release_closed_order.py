"""Release the stock of an order that ended before it was confirmed or shipped."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.event import Delivery
from lambdas.inventory import stock_store
from lambdas.orders.events import OrderCancelled, OrderEvent, OrderExpired


@consumer(OrderCancelled, OrderExpired)
def handler(delivery: Delivery[OrderEvent]) -> None:
    """Needs no inbox: releasing a reservation again changes nothing."""
    reason = "expired" if isinstance(delivery.event, OrderExpired) else "cancelled"
    stock_store.release(delivery.event.order_id, reason, delivery)
