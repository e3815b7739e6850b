"""Reservations: an order is reserved completely or not at all, once, and released exactly."""

from collections.abc import Callable
from functools import partial
from itertools import permutations
from typing import Any

import msgspec
import pytest

from lambdas.eventing import transaction
from lambdas.eventing.transaction import MAX_OPERATIONS, Contention
from lambdas.inventory import domain
from lambdas.inventory.domain import StockRefused
from lambdas.inventory.events import Reserved, StockDepleted, StockReleased, StockReserved
from lambdas.orders.events import OrderPlaced
from tests.inventory.context import Inventory
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.messages import CONTEXT, batch, enveloped, failed
from tests.support.orders import cancelled, line, placed


class TestReserve:
    def test_all_units_of_an_order_are_reserved(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10, PEN=5)
        inventory.order(MUG=3, PEN=5)
        inventory.reserve()
        assert inventory.stock("MUG") == (10, 7, 3)
        assert inventory.stock("PEN") == (5, 0, 5)
        assert inventory.reservation()["state"] == "reserved"

    def test_it_publishes_the_reserved_units(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10, PEN=5)
        inventory.order(PEN=1, MUG=3)
        inventory.reserve()
        (envelope,) = inventory.table.envelopes(StockReserved)
        event = msgspec.json.decode(envelope.data, type=StockReserved)
        assert event.order_id == envelope.subject == "order-1"
        assert event.items == (Reserved(sku="MUG", quantity=3), Reserved(sku="PEN", quantity=1))
        assert envelope.causationid == inventory.placed["order-1"].id

    def test_reserving_twice_has_the_same_effect_as_once(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        inventory.reserve()
        assert inventory.stock() == (10, 7, 3)
        assert len(inventory.table.envelopes(StockReserved)) == 1

    def test_lines_of_one_item_are_added_up(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10)
        event = placed(line(quantity=2), line(quantity=3))
        inventory.placed["order-1"] = enveloped(event)
        inventory.reserve()
        assert inventory.stock() == (10, 5, 5)

    def test_lines_of_one_item_that_exceed_its_stock_together_are_refused(
        self, inventory: Inventory
    ) -> None:
        inventory.receive(MUG=4)
        inventory.placed["order-1"] = enveloped(placed(line(quantity=2), line(quantity=3)))
        with pytest.raises(StockRefused):
            inventory.reserve()
        assert inventory.stock() == (4, 4, 0)

    @pytest.mark.parametrize("units", [{"MUG": 11}, {"PEN": 1, "MUG": 11}, {"UNKNOWN": 1}])
    def test_an_order_that_lacks_one_item_reserves_none(
        self, inventory: Inventory, units: dict[str, int]
    ) -> None:
        inventory.receive(MUG=10, PEN=5)
        inventory.order(**units)
        with pytest.raises(StockRefused, match=r"^out_of_stock$"):
            inventory.reserve()
        assert inventory.available() == {"MUG": 10, "PEN": 5}
        assert inventory.table.envelopes(StockReserved) == []

    def test_all_available_units_can_be_reserved(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=10)
        inventory.reserve()
        assert inventory.stock() == (10, 0, 10)

    def test_a_refused_order_can_be_reserved_after_new_stock_arrives(
        self, inventory: Inventory
    ) -> None:
        """The same checkout can run again before its compensation."""
        inventory.order(MUG=1)
        with pytest.raises(StockRefused):
            inventory.reserve()
        inventory.receive(MUG=1)
        inventory.reserve()
        assert inventory.stock() == (1, 0, 1)

    def test_two_concurrent_runs_of_a_checkout_reserve_once(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        commits.before(1, inventory.reserve)
        inventory.reserve()
        assert inventory.stock() == (10, 7, 3)
        assert len(inventory.table.envelopes(StockReserved)) == 1

    def test_a_run_after_a_crash_after_the_commit_reserves_nothing_more(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        commits.after(1, crash)
        with pytest.raises(Crash):
            inventory.reserve()
        inventory.reserve()
        assert inventory.stock() == (10, 7, 3)


class TestTheLastUnit:
    def test_one_of_two_concurrent_orders_gets_the_last_unit(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        inventory.receive(MUG=1)
        inventory.order("order-1", MUG=1)
        inventory.order("order-2", MUG=1)
        commits.before(1, lambda: inventory.reserve("order-2"))
        with pytest.raises(StockRefused, match="out_of_stock"):
            inventory.reserve("order-1")
        assert inventory.stock() == (1, 0, 1)
        assert inventory.reservation()["pk"] == "RESERVATION#order-2"

    def test_the_first_of_ten_orders_gets_the_last_unit(self, inventory: Inventory) -> None:
        inventory.receive(MUG=1)
        owners = []
        for number in range(10):
            inventory.order(f"order-{number}", MUG=1)
            try:
                inventory.reserve(f"order-{number}")
                owners.append(number)
            except StockRefused:
                continue
        assert owners == [0]
        assert inventory.stock() == (1, 0, 1)

    def test_of_two_orders_for_the_same_items_in_opposite_order_one_succeeds(
        self, inventory: Inventory, commits: Commits, chunks_of_two: None
    ) -> None:
        """All reservations sort their items, so the first one to reserve a chunk can complete."""
        inventory.receive(A=1, B=1, C=1, D=1)
        inventory.placed["order-1"] = enveloped(placed(*map(line, "DCBA"), order_id="order-1"))
        inventory.placed["order-2"] = enveloped(placed(*map(line, "ABCD"), order_id="order-2"))

        def too_late() -> None:
            with pytest.raises(StockRefused):
                inventory.reserve("order-2")

        commits.after(1, too_late)
        inventory.reserve("order-1")
        assert inventory.available() == dict.fromkeys("ABCD", 0)
        assert inventory.balanced()

    def test_units_released_by_one_order_can_be_reserved_by_the_next(
        self, inventory: Inventory
    ) -> None:
        inventory.receive(MUG=1)
        inventory.order("order-1", MUG=1)
        inventory.order("order-2", MUG=1)
        inventory.reserve("order-1")
        inventory.release("order-1")
        inventory.reserve("order-2")
        assert inventory.stock() == (1, 0, 1)


class TestDepletion:
    """Exactly the reservation of the last unit publishes that an item is sold out."""

    def depleted(self, inventory: Inventory) -> list[str]:
        return [envelope.subject for envelope in inventory.table.envelopes(StockDepleted)]

    @pytest.mark.parametrize(("units", "sold_out"), [(9, []), (10, ["MUG"])])
    def test_only_the_last_unit_publishes_depletion(
        self, inventory: Inventory, units: int, sold_out: list[str]
    ) -> None:
        inventory.receive(MUG=10, PEN=5)
        inventory.order(MUG=units, PEN=4)
        inventory.reserve()
        assert self.depleted(inventory) == sold_out

    def test_the_event_is_committed_with_the_reservation(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        inventory.receive(MUG=1)
        inventory.order(MUG=1)
        commits.after(1, crash)
        with pytest.raises(Crash):
            inventory.reserve()
        assert self.depleted(inventory) == ["MUG"]
        inventory.reserve()
        assert self.depleted(inventory) == ["MUG"]
        (envelope,) = inventory.table.envelopes(StockDepleted)
        assert envelope.causationid == inventory.placed["order-1"].id

    def test_a_refused_order_publishes_no_depletion(self, inventory: Inventory) -> None:
        inventory.receive(MUG=1, PEN=1)
        inventory.order(MUG=1, PEN=2)
        with pytest.raises(StockRefused, match=r"^out_of_stock$"):
            inventory.reserve()
        assert self.depleted(inventory) == []
        assert inventory.available() == {"MUG": 1, "PEN": 1}

    def test_released_stock_can_run_out_again(self, inventory: Inventory) -> None:
        inventory.receive(MUG=1)
        for number in (1, 2):
            inventory.order(f"order-{number}", MUG=1)
            inventory.reserve(f"order-{number}")
            inventory.release(f"order-{number}")
        assert self.depleted(inventory) == ["MUG", "MUG"]

    def test_a_concurrent_order_can_make_a_units_reservation_the_last(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        """At the read, one more unit was available than at the commit."""
        inventory.receive(MUG=3)
        inventory.order("order-1", MUG=2)
        inventory.order("order-2", MUG=1)
        commits.before(1, lambda: inventory.reserve("order-2"))
        inventory.reserve("order-1")
        assert inventory.stock() == (3, 0, 3)
        assert self.depleted(inventory) == ["MUG"]

    def test_units_received_in_the_meantime_prevent_depletion(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        inventory.receive(MUG=2)
        inventory.order(MUG=2)
        commits.before(1, lambda: inventory.receive("delivery-2", MUG=1))
        inventory.reserve()
        assert inventory.stock() == (3, 1, 2)
        assert self.depleted(inventory) == []

    def test_an_order_is_refused_at_once_if_one_item_conflicts_and_another_is_missing(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        inventory.receive(MUG=2)
        inventory.order(MUG=2, PEN=1)
        commits.before(1, lambda: inventory.receive("delivery-2", MUG=1))
        with pytest.raises(StockRefused, match=r"^out_of_stock$"):
            inventory.reserve()
        assert commits.count == 2, "the delivery and one attempt"

    def test_a_run_whose_twin_reserved_the_last_unit_succeeds(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        """The twin commits between the run's reads of its reservation and of the stock."""
        inventory.receive(MUG=1)
        inventory.order(MUG=1)
        read_all = transaction.read_all
        twin = [inventory.reserve]

        def late(*args: Any) -> Any:
            if twin:
                twin.pop()()
            return read_all(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lambdas.inventory.stock_store.read_all", late)
            inventory.reserve()
        assert inventory.stock() == (1, 0, 1)
        assert self.depleted(inventory) == ["MUG"]

    def test_if_the_stock_keeps_changing_the_task_raises_contention(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        inventory.receive(MUG=2)
        inventory.order(MUG=2)

        def one_more(number: int) -> None:
            inventory.receive(f"other-{number}", MUG=1)

        def one_less(number: int) -> None:
            inventory.order(f"other-{number}", MUG=1)
            inventory.reserve(f"other-{number}")

        for number in range(1, 7):
            commits.before(number, partial(one_more if number % 2 else one_less, number))
        with pytest.raises(Contention, match="reservation order-1 kept changing"):
            inventory.reserve()

    def test_an_order_of_the_last_units_of_200_items_publishes_200_depletions(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        stocked(inventory, plenty(200, 2))
        inventory.order(**plenty(200, 2))
        inventory.reserve()
        assert max(commits.sizes) <= MAX_OPERATIONS
        assert sorted(self.depleted(inventory)) == sorted(plenty(200))


class TestRelease:
    def test_released_units_are_available_again(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10, PEN=5)
        inventory.order(MUG=3, PEN=5)
        inventory.reserve()
        inventory.release()
        assert inventory.available() == {"MUG": 10, "PEN": 5}
        assert inventory.balanced()
        assert inventory.reservation()["state"] == "released"

    def test_it_publishes_the_released_units(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        inventory.release()
        (envelope,) = inventory.table.envelopes(StockReleased)
        event = msgspec.json.decode(envelope.data, type=StockReleased)
        assert event.items == (Reserved(sku="MUG", quantity=3),)
        assert event.order_id == "order-1"

    def test_releasing_twice_has_the_same_effect_as_once(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        inventory.release()
        inventory.release()
        inventory.cancel()
        assert inventory.stock() == (10, 10, 0)
        assert len(inventory.table.envelopes(StockReleased)) == 1

    def test_a_released_order_is_always_refused_with_the_same_reason(
        self, inventory: Inventory
    ) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        inventory.release(reason="payment_declined")
        for _ in range(2):
            with pytest.raises(StockRefused, match=r"^payment_declined$"):
                inventory.reserve()
        assert inventory.stock() == (10, 10, 0)

    def test_a_release_before_the_reservation_prevents_it(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.release(reason="payment_declined")
        with pytest.raises(StockRefused, match=r"^payment_declined$"):
            inventory.reserve()
        assert inventory.stock() == (10, 10, 0)
        assert inventory.table.envelopes(StockReserved, StockReleased) == []

    def test_a_refused_order_has_nothing_to_release(self, inventory: Inventory) -> None:
        inventory.receive(MUG=1)
        inventory.order(MUG=3)
        with pytest.raises(StockRefused):
            inventory.reserve()
        inventory.release(reason="out_of_stock")
        assert inventory.stock() == (1, 1, 0)
        assert inventory.table.envelopes(StockReleased) == []

    def test_a_concurrent_reservation_is_released_too(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        commits.before(1, inventory.reserve)
        inventory.release()
        assert inventory.stock() == (10, 10, 0)
        assert inventory.reservation()["state"] == "released"

    def test_a_concurrent_release_prevents_the_reservation(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        commits.before(1, lambda: inventory.release(reason="payment_declined"))
        with pytest.raises(StockRefused, match="payment_declined"):
            inventory.reserve()
        assert inventory.stock() == (10, 10, 0)


class TestCancellation:
    def test_a_cancelled_order_releases_its_stock(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        inventory.cancel()
        assert inventory.stock() == (10, 10, 0)
        with pytest.raises(StockRefused, match=r"^cancelled$"):
            inventory.reserve()

    def test_a_cancellation_that_overtakes_the_checkout_prevents_the_reservation(
        self, inventory: Inventory
    ) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.cancel()
        with pytest.raises(StockRefused, match=r"^cancelled$"):
            inventory.reserve()
        assert inventory.stock() == (10, 10, 0)

    def test_a_cancelled_confirmed_order_releases_its_units_when_its_parcel_is_recalled(
        self, inventory: Inventory
    ) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        inventory.cancel(confirmed=True)
        assert inventory.stock() == (10, 7, 3)
        inventory.recall()
        inventory.recall()
        assert inventory.stock() == (10, 10, 0)
        assert inventory.reservation()["reason"] == "cancelled"
        assert len(inventory.table.envelopes(StockReleased)) == 1

    @pytest.mark.parametrize("turns", list(permutations(("cancel", "recall", "restock"))))
    def test_cancellation_recall_and_return_in_any_sequence_restock_once(
        self, inventory: Inventory, turns: tuple[str, ...]
    ) -> None:
        """No parcel is both recalled and returned, but even then the units would count once."""
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        steps = {
            "cancel": lambda: inventory.cancel(confirmed=True),
            "recall": inventory.recall,
            "restock": inventory.restock,
        }
        for turn in turns:
            steps[turn]()
        assert inventory.stock() == (10, 10, 0)
        assert inventory.balanced()

    def test_a_cancellation_delivered_twice_releases_once(self, inventory: Inventory) -> None:
        from lambdas.inventory import release_closed_order

        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        envelope = enveloped(cancelled())
        event = batch(envelope, envelope)
        assert failed(release_closed_order.handler(event, CONTEXT)) == []
        assert inventory.stock() == (10, 10, 0)
        assert len(inventory.table.envelopes(StockReleased)) == 1

    def test_an_expired_order_releases_its_stock(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        inventory.expire()
        assert inventory.stock() == (10, 10, 0)
        with pytest.raises(StockRefused, match=r"^expired$"):
            inventory.reserve()

    def test_the_first_reason_is_kept(self, inventory: Inventory) -> None:
        inventory.order(MUG=1)
        inventory.cancel()
        inventory.release(reason="payment_declined")
        assert inventory.reservation()["reason"] == "cancelled"


class TestReturn:
    def test_returned_units_are_restocked_once(self, inventory: Inventory) -> None:
        inventory.receive(MUG=10, PEN=5)
        inventory.order(MUG=3, PEN=5)
        inventory.reserve()
        inventory.restock()
        inventory.restock()
        assert inventory.available() == {"MUG": 10, "PEN": 5}
        assert inventory.balanced()
        assert inventory.reservation()["reason"] == "returned"
        assert len(inventory.table.envelopes(StockReleased)) == 1

    def test_a_crashed_restock_is_resumed(self, inventory: Inventory, commits: Commits) -> None:
        inventory.receive(MUG=10)
        inventory.order(MUG=3)
        inventory.reserve()
        commits.after(1, crash)
        with pytest.raises(Crash):
            inventory.restock()
        inventory.restock()
        assert inventory.stock() == (10, 10, 0)
        assert len(inventory.table.envelopes(StockReleased)) == 1


def plenty(count: int, units: int = 5) -> dict[str, int]:
    return {f"SKU-{number:03}": units for number in range(count)}


class TestLargeOrders:
    """Orders have up to 200 items, but a transaction takes 100 operations."""

    @pytest.mark.parametrize(("items", "transactions"), [(49, 1), (200, 5)])
    def test_large_orders_are_reserved_in_as_few_transactions_as_possible(
        self, inventory: Inventory, commits: Commits, items: int, transactions: int
    ) -> None:
        stocked(inventory, plenty(items))
        inventory.order(**plenty(items, 2))
        inventory.reserve()
        assert commits.count == transactions
        assert max(commits.sizes) <= MAX_OPERATIONS
        assert inventory.available() == plenty(items, 3)
        assert len(inventory.table.envelopes(StockReserved)) == 1

    def test_large_orders_are_released_completely(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        stocked(inventory, plenty(91))
        inventory.order(**plenty(91, 2))
        inventory.reserve()
        inventory.release()
        assert max(commits.sizes) <= MAX_OPERATIONS
        assert inventory.available() == plenty(91)
        assert len(inventory.table.envelopes(StockReleased)) == 1

    def test_a_large_order_that_lacks_one_item_reserves_none(self, inventory: Inventory) -> None:
        stock = {**plenty(100), "SKU-095": 1}
        stocked(inventory, stock)
        inventory.order(**plenty(100, 2))
        with pytest.raises(StockRefused, match=r"^out_of_stock$"):
            inventory.reserve()
        inventory.release(reason="out_of_stock")
        assert inventory.available() == stock
        assert inventory.balanced()


def stocked(inventory: Inventory, stock: dict[str, int]) -> None:
    """Stores stock items directly, which is faster than receiving files."""
    for sku, units in stock.items():
        inventory.table.put(
            {
                "pk": f"STOCK#{sku}",
                "sk": "STOCK",
                "kind": "stock",
                "received": units,
                "available": units,
                "reserved": 0,
                "unit_price_minor": 1250,
                "currency": "EUR",
                "price_revision": 1,
            }
        )


@pytest.mark.usefixtures("chunks_of_two")
class TestSeveralTransactions:
    """Seven items in four transactions."""

    ORDERED = dict.fromkeys("ABCDEFG", 2)
    STOCK = dict.fromkeys("ABCDEFG", 5)
    LEFT = dict.fromkeys("ABCDEFG", 3)

    @pytest.fixture(autouse=True)
    def ordered(self, inventory: Inventory) -> OrderPlaced:
        stocked(inventory, self.STOCK)
        return inventory.order(**self.ORDERED)

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    @pytest.mark.parametrize("when", [Commits.before, Commits.after])
    def test_a_crashed_reservation_is_resumed(
        self,
        inventory: Inventory,
        commits: Commits,
        number: int,
        when: Callable[[Commits, int, Callable[[], None]], None],
    ) -> None:
        when(commits, number, crash)
        with pytest.raises(Crash):
            inventory.reserve()
        inventory.reserve()
        assert inventory.available() == self.LEFT
        assert inventory.balanced()
        assert len(inventory.table.envelopes(StockReserved)) == 1

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    @pytest.mark.parametrize("when", [Commits.before, Commits.after])
    def test_a_crashed_reservation_is_released_exactly(
        self,
        inventory: Inventory,
        commits: Commits,
        number: int,
        when: Callable[[Commits, int, Callable[[], None]], None],
    ) -> None:
        when(commits, number, crash)
        with pytest.raises(Crash):
            inventory.reserve()
        inventory.release()
        assert inventory.available() == self.STOCK
        assert inventory.balanced()
        with pytest.raises(StockRefused):
            inventory.reserve()

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_reservations_that_an_earlier_release_stored_go_on(
        self, inventory: Inventory, commits: Commits, number: int
    ) -> None:
        commits.after(number, crash)
        with pytest.raises(Crash):
            inventory.reserve()
        inventory.table.as_stored_earlier("reservation", "revision", "order_id")
        inventory.reserve()
        assert inventory.available() == self.LEFT
        commits.after(number, crash)
        with pytest.raises(Crash):
            inventory.release()
        inventory.table.as_stored_earlier("reservation", "revision", "order_id")
        inventory.release()
        assert inventory.available() == self.STOCK
        assert inventory.balanced()
        assert len(inventory.table.envelopes(StockReleased)) == 1

    def test_a_chunk_that_an_earlier_release_takes_meanwhile_is_not_taken_twice(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        """Its functions count the chunks, but no revision."""
        commits.after(2, crash)
        with pytest.raises(Crash):
            inventory.reserve()

        def chunk_of_an_earlier_release() -> None:
            revision = inventory.reservation()["revision"]
            commits.part_of(inventory.reserve, 1)()
            inventory.table.put({**inventory.reservation(), "revision": revision})

        commits.before(1, chunk_of_an_earlier_release)
        inventory.reserve()
        assert inventory.available() == self.LEFT
        assert inventory.balanced()

    @pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
    @pytest.mark.parametrize("when", [Commits.before, Commits.after])
    def test_a_crashed_release_is_resumed(
        self,
        inventory: Inventory,
        commits: Commits,
        number: int,
        when: Callable[[Commits, int, Callable[[], None]], None],
    ) -> None:
        inventory.reserve()
        when(commits, number, crash)
        with pytest.raises(Crash):
            inventory.release()
        inventory.release()
        assert inventory.available() == self.STOCK
        assert inventory.balanced()
        assert len(inventory.table.envelopes(StockReleased)) == 1

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_a_concurrent_release_undoes_a_partial_reservation(
        self, inventory: Inventory, commits: Commits, number: int
    ) -> None:
        commits.before(number, inventory.cancel)
        with pytest.raises(StockRefused, match=r"^cancelled$"):
            inventory.reserve()
        assert inventory.available() == self.STOCK
        assert inventory.balanced()

    @pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
    def test_two_concurrent_releases_release_once(
        self, inventory: Inventory, commits: Commits, number: int
    ) -> None:
        inventory.reserve()
        commits.before(number, inventory.cancel)
        inventory.release()
        assert inventory.available() == self.STOCK
        assert len(inventory.table.envelopes(StockReleased)) == 1

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_two_concurrent_runs_reserve_once(
        self, inventory: Inventory, commits: Commits, number: int
    ) -> None:
        commits.before(number, inventory.reserve)
        inventory.reserve()
        assert inventory.available() == self.LEFT
        assert len(inventory.table.envelopes(StockReserved)) == 1

    @pytest.mark.parametrize("count", [1, 2, 3])
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_run_interrupted_by_part_of_another_run_reserves_once(
        self, inventory: Inventory, commits: Commits, number: int, count: int
    ) -> None:
        commits.before(number, commits.part_of(inventory.reserve, count))
        inventory.reserve()
        assert inventory.available() == self.LEFT
        assert inventory.balanced()
        assert len(inventory.table.envelopes(StockReserved)) == 1

    @pytest.mark.parametrize("count", [1, 2, 3])
    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_a_release_interrupted_by_part_of_another_one_releases_once(
        self, inventory: Inventory, commits: Commits, number: int, count: int
    ) -> None:
        inventory.reserve()
        commits.before(number, commits.part_of(inventory.release, count))
        inventory.release()
        assert inventory.available() == self.STOCK
        assert inventory.balanced()
        assert len(inventory.table.envelopes(StockReleased)) == 1

    @pytest.mark.parametrize("number", [2, 3, 4])
    def test_an_item_sold_out_in_the_meantime_causes_a_refusal(
        self, inventory: Inventory, commits: Commits, number: int
    ) -> None:
        inventory.order("order-2", G=4)
        commits.before(number, lambda: inventory.reserve("order-2"))
        with pytest.raises(StockRefused, match=r"^out_of_stock$"):
            inventory.reserve()
        inventory.release(reason="out_of_stock")
        assert inventory.available() == {**self.STOCK, "G": 1}
        assert inventory.balanced()

    def test_a_release_is_published_only_if_the_reservation_was(
        self, inventory: Inventory, commits: Commits
    ) -> None:
        """The sum of both events gives the reserved units, for orders of any size."""
        commits.after(2, crash)
        with pytest.raises(Crash):
            inventory.reserve()
        inventory.release()
        assert inventory.table.envelopes(StockReserved, StockReleased) == []

    def test_if_the_reservation_keeps_changing_the_task_raises_contention(
        self, inventory: Inventory, cloud: Cloud
    ) -> None:
        from lambdas.eventing.transaction import ConditionFailed, Transaction

        def refuse(self: Transaction) -> None:
            raise ConditionFailed(["reservation"])

        cloud.monkeypatch.setattr(Transaction, "commit", refuse)
        with pytest.raises(Contention, match="reservation order-1 kept changing"):
            inventory.reserve()
        with pytest.raises(Contention, match="reservation order-1 kept changing"):
            inventory.release()


class TestRules:
    def test_items_are_sorted_independently_of_the_order_of_lines(self) -> None:
        lines = [("B", 1), ("A", 2), ("B", 3)]
        expected = (Reserved(sku="A", quantity=2), Reserved(sku="B", quantity=4))
        assert domain.reserved_items(lines) == domain.reserved_items(lines[::-1]) == expected

    def test_a_chunk_leaves_room_for_the_reservation_and_an_event_for_each_item(self) -> None:
        assert 2 * domain.CHUNK + 2 <= MAX_OPERATIONS

    @pytest.mark.parametrize("count", [1, 48, 49, 50, 200])
    def test_chunks_contain_all_items_in_order(self, count: int) -> None:
        items = domain.reserved_items((sku, 1) for sku in plenty(count))
        parts = domain.chunks(items)
        assert [item for part in parts for item in part] == list(items)
        assert all(1 <= len(part) <= domain.CHUNK for part in parts)
