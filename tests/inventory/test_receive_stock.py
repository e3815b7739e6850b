"""Receiving stock: units and prices come in, each delivery once."""

from typing import Any

import msgspec
import pytest

from lambdas.eventing.transaction import Contention
from lambdas.inventory import receive_stock
from lambdas.inventory.events import ItemPriced, StockReplenished
from tests.inventory.context import Inventory
from tests.support.cloud import Commits, Crash, crash
from tests.support.messages import CONTEXT


def prices(inventory: Inventory) -> dict[int, tuple[int, str]]:
    """What was published about the mug's price: price and currency by revision."""
    events = [
        msgspec.json.decode(envelope.data, type=ItemPriced)
        for envelope in inventory.table.envelopes(ItemPriced)
    ]
    assert len({event.revision for event in events}) == len(events)
    return {event.revision: (event.unit_price_minor, event.currency) for event in events}


def test_units_are_for_sale_at_once(inventory: Inventory) -> None:
    assert inventory.receive(MUG=10, PEN=5) == {"received": 2, "duplicates": 0}
    assert inventory.stock("MUG") == (10, 10, 0)
    assert inventory.stock("PEN") == (5, 5, 0)


def test_it_publishes_what_came_in_and_what_it_costs(inventory: Inventory) -> None:
    inventory.receive(MUG=10)
    assert inventory.table.published() == ["ItemPriced.v1", "StockReplenished.v1"]
    (envelope,) = inventory.table.envelopes(StockReplenished)
    assert msgspec.json.decode(envelope.data, type=StockReplenished).quantity == 10
    assert envelope.correlationid == "delivery-1"
    assert prices(inventory) == {1: (1250, "EUR")}


def test_a_delivery_received_twice_counts_once(inventory: Inventory) -> None:
    inventory.receive(MUG=10)
    published = inventory.table.published()
    assert inventory.receive(MUG=10) == {"received": 0, "duplicates": 1}
    assert inventory.stock() == (10, 10, 0)
    assert inventory.table.published() == published


def test_what_was_new_in_a_repeated_delivery_is_taken(inventory: Inventory) -> None:
    inventory.receive(MUG=10)
    assert inventory.receive(MUG=10, PEN=5) == {"received": 1, "duplicates": 1}
    assert inventory.available() == {"MUG": 10, "PEN": 5}


def test_another_delivery_adds_up(inventory: Inventory) -> None:
    inventory.receive("delivery-1", MUG=10)
    inventory.receive("delivery-2", MUG=5)
    assert inventory.stock() == (15, 15, 0)


def test_a_crash_in_the_middle_is_resumed(inventory: Inventory, commits: Commits) -> None:
    commits.after(2, crash)
    with pytest.raises(Crash):
        inventory.receive(A=1, B=2, C=3)
    assert inventory.available() == {"A": 1, "B": 2}
    assert inventory.receive(A=1, B=2, C=3) == {"received": 1, "duplicates": 2}
    assert inventory.available() == {"A": 1, "B": 2, "C": 3}


def test_reserved_units_stay_reserved(inventory: Inventory) -> None:
    inventory.receive("delivery-1", MUG=10)
    inventory.order(MUG=4)
    inventory.reserve()
    inventory.receive("delivery-2", MUG=5)
    assert inventory.stock() == (15, 11, 4)


class TestPrices:
    def test_the_same_price_again_is_no_news(self, inventory: Inventory) -> None:
        inventory.receive("delivery-1", MUG=10)
        inventory.receive("delivery-2", MUG=10)
        assert prices(inventory) == {1: (1250, "EUR")}

    def test_each_new_price_has_the_next_revision(self, inventory: Inventory) -> None:
        for number, price in enumerate((1250, 1300, 1250)):
            inventory.receive(f"delivery-{number}", price=price, MUG=1)
        assert prices(inventory) == {1: (1250, "EUR"), 2: (1300, "EUR"), 3: (1250, "EUR")}

    def test_a_price_can_come_without_units(self, inventory: Inventory) -> None:
        inventory.receive("delivery-1", MUG=10)
        inventory.receive("delivery-2", price=1300, MUG=0)
        assert inventory.stock() == (10, 10, 0)
        assert prices(inventory)[2] == (1300, "EUR")
        assert len(inventory.table.envelopes(StockReplenished)) == 1

    def test_two_deliveries_at_the_same_time_give_the_price_two_revisions(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        commits.before(1, lambda: inventory.receive("delivery-2", price=1300, MUG=5))
        inventory.receive("delivery-1", price=1250, MUG=10)
        assert inventory.stock() == (15, 15, 0)
        assert prices(inventory) == {1: (1300, "EUR"), 2: (1250, "EUR")}

    def test_an_item_that_others_keep_changing_is_left_to_the_next_try(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        for number in range(1, 6):
            commits.before(
                number,
                lambda n=number: inventory.receive(f"other-{n}", price=n, MUG=1),  # type: ignore[misc]
            )
        with pytest.raises(Contention, match="price of MUG changed 5 times"):
            inventory.receive("delivery-1", price=9999, MUG=10)
        assert inventory.stock() == (5, 5, 0)


def delivery(**changes: Any) -> dict[str, Any]:
    item = {"sku": "MUG", "quantity": 1, "unit_price_minor": 1250, "currency": "EUR"}
    wrong = {name: value for name, value in changes.items() if name in item}
    event = {"delivery_id": "delivery-1", "items": [{**item, "sku": "PEN"}, {**item, **wrong}]}
    return {**event, **{name: value for name, value in changes.items() if name not in item}}


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (delivery(quantity=-1), r">= 0 .*items\[1\].quantity"),
        (delivery(quantity=1.5), r"int.*items\[1\].quantity"),
        (delivery(unit_price_minor=-1), r">= 0 .*items\[1\].unit_price_minor"),
        (delivery(currency="€"), r"items\[1\].currency"),
        (delivery(sku=""), r"items\[1\].sku"),
        (delivery(sku="PEN"), "add up the lines of PEN, one line per SKU"),
        (delivery(delivery_id=""), "delivery_id"),
        (delivery(items=[]), "items"),
        ({}, "delivery_id"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_malformed_delivery_is_refused_before_anything_is_taken(
    inventory: Inventory, event: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        receive_stock.handler(event, CONTEXT)
    assert inventory.table.items() == []
