"""Issue the stock of a shipped order: its units have left the shelf."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.inventory import stock_store
from lambdas.inventory.events import StockIssued
from lambdas.shipping.events import OrderShipped


@consumer(OrderShipped, publishes=(StockIssued,), uses=(GET, UPDATE))
def handler(delivery: Delivery[OrderShipped]) -> None:
    """Needs no inbox: issuing the units of an order again changes nothing."""
    stock_store.issue(delivery.event.order_id, delivery)
