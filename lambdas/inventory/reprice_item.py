"""Reprice an item: its price follows its cost within the bounds that staff have set."""

from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.inventory import price_store, prices
from lambdas.inventory.events import ItemCosted, ItemPriced


@consumer(ItemCosted, publishes=(ItemPriced,), uses=(GET, UPDATE, PUT))
def handler(delivery: Delivery[ItemCosted]) -> None:
    """Needs no inbox: a cost is followed once, and an older one never after it."""
    prices.count_proposals(price_store.follow(delivery))
