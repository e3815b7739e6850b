"""Issuing: the units of a shipped order leave the shelf, once, and come back once."""

from collections.abc import Callable, Mapping
from itertools import permutations
from typing import ClassVar

import pytest

from lambdas.inventory.domain import CHUNK
from lambdas.inventory.events import StockIssued, StockReleased
from tests.inventory.context import Inventory
from tests.support.cloud import Commits, Crash, crash

SHIPPED = {"received": 10, "available": 7, "issued": 3}
BACK = {"received": 10, "available": 10, "issued": 3, "returned": 3}


@pytest.fixture
def reserved(inventory: Inventory) -> Inventory:
    """The context with an order for three of ten units."""
    inventory.receive(MUG=10)
    inventory.order(MUG=3)
    inventory.reserve()
    return inventory


def test_units_of_a_shipped_order_are_issued(reserved: Inventory) -> None:
    assert reserved.ship() == []

    assert reserved.units() == SHIPPED
    assert reserved.reservation()["state"] == "issued"
    (event,) = reserved.table.events(StockIssued)
    assert [(item.sku, item.quantity) for item in event.items] == [("MUG", 3)]


def test_issuing_twice_has_the_same_effect_as_once(reserved: Inventory) -> None:
    assert reserved.ship() == reserved.ship() == []

    assert reserved.units() == SHIPPED
    assert len(reserved.table.envelopes(StockIssued)) == 1


@pytest.mark.parametrize("turns", list(permutations(("ship", "cancel", "recall", "restock"))))
def test_shipping_recall_and_return_in_any_sequence_issue_once_and_restock_once(
    reserved: Inventory, turns: tuple[str, ...]
) -> None:
    steps: Mapping[str, Callable[[], object]] = {
        "ship": reserved.ship,
        "cancel": lambda: reserved.cancel(confirmed=True),
        "recall": reserved.recall,
        "restock": reserved.restock,
    }
    for turn in (*turns, *turns):
        steps[turn]()
        assert reserved.balanced()

    assert reserved.units() == BACK
    for published in (StockIssued, StockReleased):
        assert len(reserved.table.envelopes(published)) == 1


def test_an_order_that_was_recalled_before_it_was_shipped_was_never_issued(
    reserved: Inventory,
) -> None:
    reserved.cancel(confirmed=True)
    reserved.recall()

    assert reserved.units() == {"received": 10, "available": 10}


@pytest.mark.parametrize("count", [CHUNK, CHUNK + 1, 200])
def test_a_large_order_is_issued_in_as_few_transactions_as_possible(
    inventory: Inventory, commits: Commits, count: int
) -> None:
    units = {f"SKU-{number:03}": 2 for number in range(count)}
    for start in range(0, count, 30):
        part = dict(list(units.items())[start : start + 30])
        inventory.receive(f"file-{start}", **part)
    inventory.order(**units)
    inventory.reserve()
    before = commits.count

    assert inventory.ship() == []

    assert commits.count - before == -(-count // CHUNK)
    assert inventory.units_by_sku() == {sku: {"received": 2, "issued": 2} for sku in units}


@pytest.mark.usefixtures("chunks_of_two")
class TestSeveralTransactions:
    UNITS: ClassVar[dict[str, int]] = dict.fromkeys("ABCDE", 1)

    @pytest.fixture
    def reserved(self, inventory: Inventory) -> Inventory:
        inventory.receive("file-1", **self.UNITS)
        inventory.order(**self.UNITS)
        inventory.reserve()
        return inventory

    @pytest.mark.parametrize("number", [1, 2, 3])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_after_a_crash_the_next_delivery_issues_the_rest(
        self, reserved: Inventory, commits: Commits, number: int, when: str
    ) -> None:
        getattr(commits, when)(number, crash)
        with pytest.raises(Crash):
            reserved.ship()
        assert reserved.balanced()

        assert reserved.ship() == []

        assert [reserved.units(sku) for sku in self.UNITS] == 5 * [{"received": 1, "issued": 1}]
        assert len(reserved.table.envelopes(StockIssued)) == 1

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_units_that_come_back_while_they_are_issued_are_issued_and_back(
        self, reserved: Inventory, commits: Commits, number: int
    ) -> None:
        commits.before(number, reserved.restock)

        assert reserved.ship() == []

        back = {"received": 1, "available": 1, "issued": 1, "returned": 1}
        assert [reserved.units(sku) for sku in self.UNITS] == 5 * [back]
        assert reserved.reservation()["state"] == "released"

    def test_two_deliveries_at_once_issue_once(self, reserved: Inventory, commits: Commits) -> None:
        commits.before(2, reserved.ship)

        assert reserved.ship() == []

        assert [reserved.units(sku) for sku in self.UNITS] == 5 * [{"received": 1, "issued": 1}]


def test_a_reservation_of_an_earlier_release_is_issued_and_comes_back(
    reserved: Inventory,
) -> None:
    """It has no number of issued chunks, and its stock no counters of issued units."""
    old = {name: each for name, each in reserved.reservation().items() if name != "issued"}
    reserved.table.put(old)

    reserved.ship()
    assert reserved.units() == SHIPPED
    reserved.restock()
    assert reserved.units() == BACK


def test_an_order_that_earlier_releases_restocked_is_counted_by_a_replay(
    reserved: Inventory,
) -> None:
    """Earlier releases did not consume OrderShipped; the archive still has it."""
    reserved.restock()
    old = {name: each for name, each in reserved.reservation().items() if name != "issued"}
    reserved.table.put(old)

    assert reserved.ship() == []

    assert reserved.units() == BACK


@pytest.mark.parametrize("known", ["unknown", "blocked"])
def test_a_shipped_order_without_reserved_units_is_delivered_again_and_then_parked(
    inventory: Inventory, known: str
) -> None:
    """It cannot happen: shipping ships confirmed orders, whose units are reserved."""
    inventory.receive(MUG=1)
    inventory.order(MUG=3)
    if known == "blocked":
        inventory.cancel()

    assert len(inventory.ship()) == 1

    assert inventory.units() == {"received": 1, "available": 1}
