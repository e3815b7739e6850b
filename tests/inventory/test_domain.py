"""The transitions of a reservation, and the rules of stock and costs, without a table."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from lambdas.inventory import domain
from lambdas.inventory.domain import (
    NotReserved,
    ReceivedItem,
    Reservation,
    State,
    Stock,
    StockRefused,
)
from lambdas.inventory.events import (
    ItemCosted,
    Reserved,
    StockDepleted,
    StockIssued,
    StockReleased,
    StockReplenished,
    StockReserved,
)

ITEMS = tuple(Reserved(sku=sku, quantity=2) for sku in "ABCDE")
CHUNKS = 3
"""With two items each."""


@pytest.fixture(autouse=True)
def chunks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "CHUNK", 2)


def reservation(state: State, taken: int, **fields: Any) -> Reservation:
    return Reservation(order_id="order-1", state=state, taken=taken, items=ITEMS, **fields)


class TestReservation:
    def test_it_begins_with_nothing_taken(self) -> None:
        assert Reservation.begin("order-1", ITEMS) == reservation(State.RESERVING, 0)

    @pytest.mark.parametrize("taken", range(CHUNKS))
    def test_it_takes_chunk_after_chunk_and_is_announced_with_the_last(self, taken: int) -> None:
        part, move, change = reservation(State.RESERVING, taken).take()
        assert (part, move) == (ITEMS[2 * taken : 2 * taken + 2], domain.TAKE)
        last = taken == CHUNKS - 1
        state = State.RESERVED if last else State.RESERVING
        assert change.after == reservation(state, taken + 1)
        announced = StockReserved(order_id="order-1", items=ITEMS)
        assert change.events == ((announced,) if last else ())

    @pytest.mark.parametrize(
        ("state", "complete"),
        [(State.RESERVING, False), (State.RESERVED, True), (State.ISSUED, True)],
    )
    def test_it_says_whether_it_is_complete(self, state: State, complete: bool) -> None:
        assert reservation(state, 1).is_complete() is complete

    @pytest.mark.parametrize("state", [State.RELEASING, State.RELEASED])
    @pytest.mark.parametrize(("reason", "code"), [("expired", "expired"), (None, "released")])
    def test_one_that_was_released_is_refused_with_the_reason(
        self, state: State, reason: str | None, code: str
    ) -> None:
        with pytest.raises(StockRefused, match=f"^{code}$"):
            reservation(state, 0, reason=reason).is_complete()

    @pytest.mark.parametrize(
        ("state", "announced"),
        [(State.RESERVING, False), (State.RESERVED, True), (State.ISSUED, True)],
    )
    def test_closing_it_remembers_why_and_whether_it_was_announced(
        self, state: State, announced: bool
    ) -> None:
        change = reservation(state, 2).close("expired")
        assert change
        closed = reservation(State.RELEASING, 2, reason="expired", announced=announced)
        assert change.after == closed
        assert change.events == ()

    @pytest.mark.parametrize("state", [State.RELEASING, State.RELEASED])
    def test_one_that_is_closed_keeps_its_reason(self, state: State) -> None:
        assert reservation(state, 1, reason="expired").close("cancelled") is None

    @pytest.mark.parametrize("taken", range(1, CHUNKS + 1))
    @pytest.mark.parametrize("announced", [True, False])
    def test_it_puts_back_the_last_chunk_first_and_ends_with_the_first(
        self, taken: int, announced: bool
    ) -> None:
        part, move, change = reservation(State.RELEASING, taken, announced=announced).put_back()
        assert (part, move) == (ITEMS[2 * taken - 2 : 2 * taken], domain.PUT_BACK)
        state = State.RELEASING if taken > 1 else State.RELEASED
        assert change.after == reservation(state, taken - 1, announced=announced)
        released = StockReleased(order_id="order-1", items=ITEMS)
        assert change.events == ((released,) if announced and taken == 1 else ())

    @pytest.mark.parametrize("issued", range(CHUNKS))
    def test_it_is_issued_chunk_after_chunk_and_reported_with_the_last(self, issued: int) -> None:
        part, move, change = reservation(State.RESERVED, CHUNKS, issued=issued).issue()
        assert (part, move) == (ITEMS[2 * issued : 2 * issued + 2], domain.ISSUE)
        last = issued == CHUNKS - 1
        state = State.ISSUED if last else State.RESERVED
        assert change.after == reservation(state, CHUNKS, issued=issued + 1)
        reported = StockIssued(order_id="order-1", items=ITEMS)
        assert change.events == ((reported,) if last else ())
        assert change.after.is_issued() is last

    def test_a_chunk_that_is_back_before_it_is_issued_stays_back(self) -> None:
        late = reservation(State.RELEASING, 1, issued=1, announced=True)
        assert late.issue()[1] == domain.ISSUE_AFTER_RETURN
        last = reservation(State.RELEASED, 0, issued=2, announced=True).issue()[2]
        assert (last.after.state, last.after.is_issued()) == (State.RELEASED, True)

    def test_a_chunk_that_was_issued_comes_back_as_returned(self) -> None:
        assert reservation(State.RELEASING, 2, issued=2, announced=True).put_back()[1] == (
            domain.RETURN
        )

    @pytest.mark.parametrize("state", [State.RESERVING, State.RELEASING, State.RELEASED])
    def test_one_that_was_never_complete_cannot_be_issued(self, state: State) -> None:
        with pytest.raises(NotReserved, match=f"order order-1 was shipped, but is {state.value}"):
            reservation(state, 1).is_issued()

    def test_an_order_that_is_blocked_holds_nothing_and_never_does(self) -> None:
        change = Reservation.block("order-1", "expired")
        assert (change.after.taken, change.after.items, change.events) == (0, (), ())
        assert change.after.close("cancelled") is None
        assert change.after.holds_nothing()
        with pytest.raises(StockRefused, match=r"^expired$"):
            change.after.is_complete()

    @given(stop=st.integers(0, CHUNKS))
    def test_what_is_put_back_is_what_was_taken(self, stop: int) -> None:
        held: Counter[str] = Counter()
        current, events = Reservation.begin("order-1", ITEMS), list[type]()
        for _ in range(stop):
            part, _, change = current.take()
            held.update({each.sku: each.quantity for each in part})
            current, events = change.after, [*events, *map(type, change.events)]
        closing = current.close("expired")
        assert closing
        current = closing.after
        while not current.holds_nothing():
            part, _, change = current.put_back()
            held.subtract({each.sku: each.quantity for each in part})
            current, events = change.after, [*events, *map(type, change.events)]
        assert not +held
        assert not -held
        assert events == ([StockReserved, StockReleased] if stop == CHUNKS else [])

    @given(issues=st.lists(st.booleans(), max_size=2 * CHUNKS))
    def test_issuing_and_putting_back_commute(self, issues: list[bool]) -> None:
        """However the two are interleaved, all units were issued and are back."""
        current = reservation(State.RELEASING, CHUNKS, announced=True)
        units: Counter[str] = Counter(reserved=2 * len(ITEMS))
        while not (current.is_issued() and current.holds_nothing()):
            issue = not current.is_issued() and (
                current.holds_nothing() or (issues or [True]).pop()
            )
            if not issue and current.holds_nothing():
                continue
            part, move, change = current.issue() if issue else current.put_back()
            for name, each in structs.asdict(move).items():
                units[name] += each * sum(held.quantity for held in part)
            current = change.after
            assert units["available"] + units["reserved"] + units["issued"] - units["returned"] == (
                2 * len(ITEMS)
            )
        assert +units == Counter(dict.fromkeys(("available", "issued", "returned"), 10))


class TestStock:
    @pytest.mark.parametrize(
        ("available", "lacks", "depleted"),
        [(0, True, False), (1, True, False), (2, False, True), (3, False, False)],
    )
    def test_the_last_units_deplete_it_and_more_are_lacking(
        self, available: int, lacks: bool, depleted: bool
    ) -> None:
        stock, wanted = Stock(available=available), Reserved(sku="A", quantity=2)
        assert stock.lacks(wanted) is lacks
        assert stock.is_depleted_by(wanted) is depleted
        assert stock.depletion(wanted) == ((StockDepleted(sku="A"),) if depleted else ())


def received(cost: int = 100, *, quantity: int = 5, currency: str = "EUR") -> ReceivedItem:
    return ReceivedItem(sku="A", quantity=quantity, unit_cost_minor=cost, currency=currency)


class TestCosts:
    STOCK = Stock(
        available=3, unit_cost_minor=100, cost_currency="EUR", costed_at=1000, cost_revision=4
    )

    @pytest.mark.parametrize("uploaded_at", [1000, 1001])
    @pytest.mark.parametrize("item", [received(200), received(currency="USD")], ids=str)
    def test_a_cost_that_is_uploaded_later_counts(
        self, item: ReceivedItem, uploaded_at: int
    ) -> None:
        after = self.STOCK.costed(item, uploaded_at)
        cost = (item.unit_cost_minor, item.currency)
        assert (after.unit_cost_minor, after.cost_currency) == cost
        assert (after.costed_at, after.cost_revision) == (uploaded_at, 5)
        assert after.available == 3
        assert self.STOCK.arrival(item, uploaded_at) == [
            StockReplenished(sku="A", quantity=5),
            ItemCosted(sku="A", unit_cost_minor=cost[0], currency=cost[1], revision=5),
        ]

    def test_one_that_is_uploaded_earlier_is_outdated(self) -> None:
        assert self.STOCK.is_newer_than(999)
        assert self.STOCK.costed(received(200), 999) == self.STOCK
        assert self.STOCK.arrival(received(200), 999) == [StockReplenished(sku="A", quantity=5)]

    def test_the_same_cost_is_no_news_but_is_as_new_as_its_file(self) -> None:
        after = self.STOCK.costed(received(), 2000)
        assert (after.costed_at, after.cost_revision) == (2000, 4)
        assert self.STOCK.arrival(received(), 2000) == [StockReplenished(sku="A", quantity=5)]

    def test_no_units_are_no_arrival(self) -> None:
        assert self.STOCK.arrival(received(quantity=0), 2000) == []

    def test_an_item_that_is_new_has_its_first_cost(self) -> None:
        _, costed = Stock().arrival(received(), 1000)
        assert costed == ItemCosted(sku="A", unit_cost_minor=100, currency="EUR", revision=1)

    @given(st.permutations(range(1, 6)))
    def test_in_whatever_order_files_come_the_last_upload_sets_the_cost(
        self, uploads: list[int]
    ) -> None:
        stock = Stock()
        for at in uploads:
            stock = stock.costed(received(at * 100), at)
        assert (stock.unit_cost_minor, stock.costed_at) == (500, 5)
