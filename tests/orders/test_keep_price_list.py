"""The price list: the latest price counts, even if events arrive repeatedly or out of order."""

from itertools import permutations

import pytest

from lambdas.inventory.events import ItemPriced
from lambdas.orders import keep_price_list
from tests.orders.context import Orders
from tests.support.messages import CONTEXT, batch, enveloped, failed


def priced(revision: int, price: int = 1250) -> ItemPriced:
    return ItemPriced(sku="MUG", unit_price_minor=price, currency="EUR", revision=revision)


def test_a_price_is_stored(orders: Orders) -> None:
    orders.priced("MUG", 1250)
    entry = orders.price_of("MUG")
    assert (entry["unit_price_minor"], entry["currency"]) == (1250, "EUR")


@pytest.mark.parametrize("order", list(permutations((1, 2, 10))), ids=str)
def test_the_highest_revision_counts_in_any_sequence_of_arrival(
    orders: Orders, order: tuple[int, ...]
) -> None:
    for revision in order:
        orders.priced("MUG", 100 * revision, revision=revision)
    assert orders.price_of("MUG")["unit_price_minor"] == 1000
    assert orders.price_of("MUG")["revision"] == 10


def test_an_overtaken_price_is_acknowledged(orders: Orders) -> None:
    messages = batch(enveloped(priced(2)), enveloped(priced(1)))
    assert failed(keep_price_list.handler(messages, CONTEXT)) == []
    assert orders.parking.messages() == []


def test_a_price_delivered_twice_is_stored_once(orders: Orders) -> None:
    envelope = enveloped(priced(1))
    for _ in range(2):
        assert failed(keep_price_list.handler(batch(envelope, envelope), CONTEXT)) == []
    assert len(orders.table.items("price")) == 1
    assert len(orders.table.items("inbox")) == 1


def test_a_redelivered_old_price_does_not_replace_a_newer_one(orders: Orders) -> None:
    old = enveloped(priced(1, price=100))
    keep_price_list.handler(batch(old), CONTEXT)
    keep_price_list.handler(batch(enveloped(priced(2, price=200))), CONTEXT)
    assert failed(keep_price_list.handler(batch(old), CONTEXT)) == []
    assert orders.price_of("MUG")["unit_price_minor"] == 200


def test_each_item_has_its_own_price(orders: Orders) -> None:
    orders.priced("MUG", 100)
    orders.priced("PEN", 200, currency="USD")
    assert orders.price_of("MUG")["unit_price_minor"] == 100
    assert orders.price_of("PEN")["currency"] == "USD"


def test_storing_a_price_publishes_nothing(orders: Orders) -> None:
    orders.priced()
    assert orders.table.published() == []
