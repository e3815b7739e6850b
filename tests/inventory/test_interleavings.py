"""The units of each item add up under any interleaving of steps and crashes."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lambdas.eventing import transaction
from lambdas.inventory.domain import StockRefused
from lambdas.inventory.events import StockDepleted, StockIssued, StockReleased, StockReserved
from tests.inventory.context import Inventory
from tests.support.cloud import Commits, Crash, cloud, crash

ORDERS = ("order-1", "order-2", "order-3")
SKUS = "ABCDE"

order_ids = st.sampled_from(ORDERS)
crashes = st.none() | st.tuples(st.sampled_from(["before", "after"]), st.integers(1, 4))


class Interleavings(RuleBasedStateMachine):
    """Checkouts, compensations, cancellations, parcels and returns of several orders.

    All of them are for the same few units.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        account = self.stack.enter_context(cloud())
        account.monkeypatch.setattr("lambdas.inventory.domain.CHUNK", 2)
        self.inventory = Inventory.in_cloud(account)
        self.commit = transaction._write
        account.monkeypatch.setattr(transaction, "_write", self._audited)
        self.commits = Commits(account.monkeypatch)
        self.released: set[str] = set()
        self.shipped: set[str] = set()
        self.deliveries = 0

    def teardown(self) -> None:
        """Releases all orders and checks that nothing stays reserved."""
        with self.stack:
            for order_id in ORDERS:
                self.inventory.release(order_id)
            for order_id in self.shipped:
                assert self.inventory.ship(order_id) == []
            self.all_shipped_units_were_issued_and_are_back()
            assert all(item["reserved"] == 0 for item in self.inventory.table.items("stock"))
            assert self.inventory.balanced()

    @initialize(
        ordered=st.tuples(
            *[st.dictionaries(st.sampled_from(SKUS), st.integers(1, 3), min_size=1) for _ in ORDERS]
        ),
        units=st.integers(1, 6),
    )
    def open_shop(self, ordered: tuple[dict[str, int], ...], units: int) -> None:
        self.ordered = dict(zip(ORDERS, ordered, strict=True))
        for order_id, quantities in self.ordered.items():
            self.inventory.order(order_id, **quantities)
        self.inventory.receive("opening", **dict.fromkeys(SKUS, units))

    @rule(units=st.integers(0, 3), again=st.booleans())
    def receive(self, units: int, again: bool) -> None:
        self.deliveries += not again
        self.inventory.receive(f"delivery-{self.deliveries}", A=units, C=units)

    @rule(order_id=order_ids, crashes=crashes)
    def reserve(self, order_id: str, crashes: tuple[str, int] | None) -> None:
        try:
            self._run(self.inventory.reserve, order_id, crashes)
        except StockRefused:
            return
        if crashes is None:
            assert order_id not in self.released

    @rule(order_id=order_ids, crashes=crashes)
    def release(self, order_id: str, crashes: tuple[str, int] | None) -> None:
        self._run(self.inventory.release, order_id, crashes)
        if crashes is None:
            self.released.add(order_id)

    @rule(order_id=order_ids, crashes=crashes)
    def ship(self, order_id: str, crashes: tuple[str, int] | None) -> None:
        """Only an order that was reserved can be shipped, whatever has become of it since."""
        if self.was_reserved(order_id):
            self.shipped.add(order_id)
            self._run(self.inventory.ship, order_id, crashes)

    @rule(order_id=order_ids, crashes=crashes, back=st.sampled_from(["restock", "recall"]))
    def come_back(self, order_id: str, crashes: tuple[str, int] | None, back: str) -> None:
        if order_id in self.shipped:
            self._run(getattr(self.inventory, back), order_id, crashes)
            self.released.update([order_id] if crashes is None else [])

    @rule(order_id=order_ids, number=st.integers(1, 3), back=st.sampled_from(["restock", "recall"]))
    def come_back_while_it_is_issued(self, order_id: str, number: int, back: str) -> None:
        if not self.was_reserved(order_id):
            return
        self.shipped.add(order_id)
        self.commits.before(number, lambda: getattr(self.inventory, back)(order_id))
        try:
            assert self.inventory.ship(order_id) == []
        finally:
            self.commits.forget()

    @rule(order_id=order_ids, number=st.integers(1, 3), other=order_ids)
    def cancel_during_a_checkout(self, order_id: str, number: int, other: str) -> None:
        cancelled: list[str] = []

        def cancel() -> None:
            self.inventory.cancel(other)
            cancelled.append(other)

        self.commits.before(number, cancel)
        with suppress(StockRefused):
            self.inventory.reserve(order_id)
        self.commits.forget()
        self.released.update(cancelled)

    @rule(
        order_id=order_ids,
        step=st.sampled_from([Inventory.reserve, Inventory.release]),
        number=st.integers(1, 3),
        count=st.integers(1, 3),
    )
    def two_runs_overlap_and_one_dies(
        self, order_id: str, step: Callable[..., None], number: int, count: int
    ) -> None:
        other = self.commits.part_of(lambda: step(self.inventory, order_id), count)
        self.commits.before(number, other)
        try:
            with suppress(StockRefused):
                step(self.inventory, order_id)
        finally:
            self.commits.forget()

    @invariant()
    def units_add_up(self) -> None:
        assert self.inventory.balanced()

    @invariant()
    def reserved_units_are_those_of_reservations(self) -> None:
        held = dict.fromkeys(SKUS, 0)
        for reservation in self.inventory.table.items("reservation"):
            for item in reservation["items"][2 * reservation["issued"] : 2 * reservation["taken"]]:
                held[item["sku"]] += item["quantity"]
        stock = {
            item["pk"].removeprefix("STOCK#"): item["reserved"]
            for item in self.inventory.table.items("stock")
        }
        assert {sku: held[sku] for sku in stock} == stock

    def all_shipped_units_were_issued_and_are_back(self) -> None:
        ordered: Counter[str] = Counter()
        for order_id in self.shipped:
            ordered.update(self.ordered[order_id])
        for item in self.inventory.table.items("stock"):
            sku = item["pk"].removeprefix("STOCK#")
            assert item.get("issued", 0) == item.get("returned", 0) == ordered[sku]
        for published in (StockIssued, StockReleased):
            subjects = Counter(
                envelope.subject for envelope in self.inventory.table.envelopes(published)
            )
            assert all(subjects[order_id] == 1 for order_id in self.shipped)

    def was_reserved(self, order_id: str) -> bool:
        """Whether all units of an order were reserved at some time."""
        reserved = self.inventory.table.envelopes(StockReserved)
        return order_id in {envelope.subject for envelope in reserved}

    def _audited(self, operations: Sequence[Any]) -> None:
        """Commits, and checks that StockDepleted is published exactly when an item runs out."""
        before, published = self.inventory.available(), self._depleted()
        self.commit(operations)
        after = self.inventory.available()
        ran_out = {sku for sku in before if before[sku] > 0 and after[sku] == 0}
        assert self._depleted() - published == Counter(ran_out)

    def _depleted(self) -> Counter[str]:
        envelopes = self.inventory.table.envelopes(StockDepleted)
        return Counter(envelope.subject for envelope in envelopes)

    def _run(
        self, step: Callable[[str], object], order_id: str, crashes: tuple[str, int] | None
    ) -> None:
        if crashes is None:
            step(order_id)
            return
        when, number = crashes
        (self.commits.before if when == "before" else self.commits.after)(number, crash)
        try:
            with suppress(Crash):
                step(order_id)
        finally:
            self.commits.forget()


TestInterleavings = pytest.mark.usefixtures("region")(Interleavings.TestCase)
TestInterleavings.settings = settings(max_examples=8, stateful_step_count=16)
