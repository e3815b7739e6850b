"""Release the stock of an order that the customer cancelled."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.event import Delivery
from lambdas.inventory import stock_store
from lambdas.orders.events import OrderCancelled


@consumer(OrderCancelled)
def handler(delivery: Delivery[OrderCancelled]) -> None:
    """Needs no inbox: releasing a reservation again changes nothing."""
    stock_store.release(delivery.event.order_id, "cancelled", delivery)
