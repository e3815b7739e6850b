"""Keep the price list: orders' own copy of the prices."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import PUT
from lambdas.eventing.event import Delivery
from lambdas.inventory.events import ItemPriced
from lambdas.orders import order_store


@consumer(ItemPriced, uses=(PUT,))
def handler(delivery: Delivery[ItemPriced]) -> None:
    """The newest price wins, in whatever order prices arrive."""
    order_store.keep_price(delivery)
