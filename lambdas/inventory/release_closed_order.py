"""Release the stock of an order that ended before its customer got the parcel."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT, UPDATE
from lambdas.eventing.event import Delivery, Event
from lambdas.inventory import stock_store
from lambdas.inventory.events import StockReleased
from lambdas.orders.events import OrderCancelled, OrderExpired
from lambdas.shipping.events import ShipmentRecalled


@consumer(
    OrderCancelled,
    OrderExpired,
    ShipmentRecalled,
    publishes=(StockReleased,),
    uses=(GET, UPDATE, PUT),
)
def handler(delivery: Delivery[Event]) -> None:
    """Needs no inbox: releasing a reservation again changes nothing."""
    match delivery.event:
        case OrderCancelled(confirmed=True):
            return  # The customer may have the units by now: shipping reports whether it is so.
        case OrderCancelled(order_id=order_id) | ShipmentRecalled(order_id=order_id):
            stock_store.release(order_id, "cancelled", delivery)
        case OrderExpired(order_id=order_id):
            stock_store.release(order_id, "expired", delivery)
