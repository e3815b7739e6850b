"""The rules of selling prices: who may change them, by how much, and what waits for approval."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert, structs

from lambdas.inventory.events import ItemCosted, ItemPriced
from lambdas.inventory.pricing import (
    AUTOMATIC,
    LARGE_PERCENT,
    Bounds,
    Cost,
    Doubt,
    NewPrice,
    NoProposal,
    OwnProposal,
    PriceReason,
    Pricing,
    What,
)
from lambdas.shared.vocabulary import MAX_MINOR

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
BOUNDS = Bounds(markup_percent=50, min_minor=900, max_minor=1400)
PRICED = Pricing(
    sku="MUG", unit_price_minor=1200, currency="EUR", price_revision=3, bounds=BOUNDS, revision=5
)


def new(price: int, *, currency: str = "EUR", bounds: Bounds | None = BOUNDS) -> NewPrice:
    return NewPrice(sku="MUG", unit_price_minor=price, currency=currency, bounds=bounds)


def costed(cost: int, *, currency: str = "EUR", revision: int = 1) -> ItemCosted:
    return ItemCosted(sku="MUG", unit_cost_minor=cost, currency=currency, revision=revision)


def priced(price: int, revision: int, currency: str = "EUR") -> tuple[ItemPriced, ...]:
    return (ItemPriced(sku="MUG", unit_price_minor=price, currency=currency, revision=revision),)


class TestStaff:
    def test_a_first_price_applies_at_once(self) -> None:
        change = Pricing(sku="MUG").set(new(1250), "clerk", NOW)
        assert change
        assert change.events == priced(1250, 1)
        assert (change.after.unit_price_minor, change.after.bounds) == (1250, BOUNDS)
        assert change.after.last
        assert (change.after.last.what, change.after.last.by, change.after.last.at) == (
            What.SET,
            "clerk",
            NOW,
        )

    @pytest.mark.parametrize("price", [900, 1500])
    def test_a_change_of_a_quarter_applies_at_once(self, price: int) -> None:
        change = PRICED.set(new(price), "clerk", NOW)
        assert change
        assert change.events == priced(price, 4)

    @pytest.mark.parametrize(
        ("wanted", "doubt"),
        [
            (new(0), Doubt.FREE),
            (new(899), Doubt.LARGE_CHANGE),
            (new(1501), Doubt.LARGE_CHANGE),
            (new(1200, currency="USD"), Doubt.LARGE_CHANGE),
            (new(1000), Doubt.BELOW_COST),
        ],
    )
    def test_a_doubtful_price_waits_and_the_old_one_stays(
        self, wanted: NewPrice, doubt: Doubt
    ) -> None:
        cost = Cost(unit_cost_minor=1001, currency="EUR", revision=1)
        pricing = structs.replace(PRICED, cost=cost)
        change = pricing.set(wanted, "clerk", NOW)
        assert change
        assert change.events == ()
        assert (change.after.unit_price_minor, change.after.price_revision) == (1200, 3)
        proposal = change.after.proposal
        assert proposal
        assert (proposal.doubt, proposal.by, proposal.number) == (doubt, "clerk", 6)
        assert change.after.pending_since == NOW

    @pytest.mark.parametrize("currency", ["EUR", "USD"])
    def test_a_first_price_of_0_or_below_the_cost_waits(self, currency: str) -> None:
        cost = Cost(unit_cost_minor=800, currency="EUR", revision=1)
        item = Pricing(sku="MUG", cost=cost)
        free, cheap = item.set(new(0), "clerk", NOW), item.set(new(799), "clerk", NOW)
        assert free
        assert cheap
        assert free.after.proposal
        assert free.after.proposal.doubt is Doubt.FREE
        assert cheap.after.proposal
        assert cheap.after.proposal.doubt is Doubt.BELOW_COST

    def test_the_same_price_again_changes_nothing(self) -> None:
        assert PRICED.set(new(1200), "clerk", NOW) is None
        waiting = PRICED.set(new(5000), "clerk", NOW)
        assert waiting
        assert waiting.after.set(new(5000), "clerk", NOW) is None

    def test_new_bounds_for_the_same_price_are_no_new_price(self) -> None:
        change = PRICED.set(new(1200, bounds=None), "clerk", NOW)
        assert change
        assert (change.events, change.after.bounds) == ((), None)

    def test_the_old_price_again_withdraws_a_proposal(self) -> None:
        waiting = PRICED.set(new(5000), "clerk", NOW)
        assert waiting
        change = waiting.after.set(new(1200), "clerk", NOW)
        assert change
        assert (change.after.proposal, change.events) == (None, ())


class TestCosts:
    def test_without_bounds_only_the_cost_is_stored(self) -> None:
        for item in (Pricing(sku="MUG"), structs.replace(PRICED, bounds=None)):
            change = item.follow(costed(5000), NOW)
            assert change
            assert (change.events, change.after.unit_price_minor) == ((), item.unit_price_minor)
            assert change.after.cost
            assert change.after.last == item.last

    def test_within_bounds_the_price_follows(self) -> None:
        change = PRICED.follow(costed(900), NOW)
        assert change
        assert change.events == priced(1350, 4)
        assert change.after.last
        assert change.after.last.by == AUTOMATIC

    @pytest.mark.parametrize(
        ("cost", "doubt"),
        [
            (934, Doubt.OUT_OF_BOUNDS),
            (599, Doubt.LARGE_CHANGE),
            (1001, Doubt.LARGE_CHANGE),
            (0, Doubt.FREE),
        ],
    )
    def test_beyond_bounds_and_limits_the_price_waits(self, cost: int, doubt: Doubt) -> None:
        change = PRICED.follow(costed(cost), NOW)
        assert change
        assert (change.events, change.after.unit_price_minor) == ((), 1200)
        assert change.after.proposal
        assert (change.after.proposal.doubt, change.after.proposal.by) == (doubt, AUTOMATIC)

    def test_a_cost_in_another_currency_changes_no_price(self) -> None:
        change = PRICED.follow(costed(900, currency="USD"), NOW)
        assert change
        assert (change.events, change.after.proposal) == ((), None)

    def test_an_older_cost_and_the_same_one_again_change_nothing(self) -> None:
        change = PRICED.follow(costed(900, revision=2), NOW)
        assert change
        assert change.after.follow(costed(900, revision=2), NOW) is None
        assert change.after.follow(costed(700, revision=1), NOW) is None

    def test_a_later_cost_replaces_an_automatic_proposal(self) -> None:
        waiting = PRICED.follow(costed(2000), NOW)
        assert waiting
        for cost, price in ((900, 1350), (800, 1200)):
            change = waiting.after.follow(costed(cost, revision=2), NOW)
            assert change
            assert (change.after.proposal, change.after.unit_price_minor) == (None, price)

    def test_a_proposal_of_staff_is_not_replaced_by_a_cost(self) -> None:
        waiting = PRICED.set(new(5000), "clerk", NOW)
        assert waiting
        change = waiting.after.follow(costed(900), NOW)
        assert change
        assert change.after.proposal == waiting.after.proposal
        assert change.events == ()

    @given(cost=st.integers(0, MAX_MINOR), before=st.none() | st.integers(0, 3000))
    def test_no_price_changes_by_itself_beyond_bounds_or_by_much(
        self, cost: int, before: int | None
    ) -> None:
        item = structs.replace(PRICED, unit_price_minor=before)
        change = item.follow(costed(cost), NOW)
        assert change
        for event in change.events:
            assert isinstance(event, ItemPriced)
            assert BOUNDS.admit(event.unit_price_minor)
            assert event.unit_price_minor >= cost
            if before is not None:
                change_minor = abs(event.unit_price_minor - before)
                assert change_minor * 100 <= LARGE_PERCENT * before

    @given(cost=st.integers(0, MAX_MINOR), markup=st.integers(0, 1000))
    def test_a_price_is_never_less_than_cost_and_markup(self, cost: int, markup: int) -> None:
        bounds = Bounds(markup_percent=markup, min_minor=0, max_minor=MAX_MINOR)
        price = bounds.price_of(cost)
        assert price == MAX_MINOR or 0 <= price * 100 - cost * (100 + markup) < 100


class TestDecision:
    WAITING = structs.replace(
        PRICED.set(new(5000), "clerk", NOW).after,  # type: ignore[union-attr]
        revision=6,
    )

    def decide(self, pricing: Pricing, by: str = "boss", **options: Any) -> Any:
        wanted = {"number": 6, "approved": True, "reason": PriceReason.MARKET, **options}
        return pricing.decide(by=by, now=NOW, **wanted)

    def test_an_approved_price_applies(self) -> None:
        change = self.decide(self.WAITING)
        assert change.events == priced(5000, 4)
        after = change.after
        assert (after.unit_price_minor, after.proposal, after.pending_since) == (5000, None, None)
        last = after.last
        assert (last.what, last.number, last.by) == (What.APPROVED, 6, "boss")
        assert last.reason is PriceReason.MARKET

    def test_a_refused_price_never_applies(self) -> None:
        change = self.decide(self.WAITING, approved=False)
        assert (change.events, change.after.unit_price_minor) == ((), 1200)
        assert (change.after.proposal, change.after.last.what) == (None, What.REFUSED)

    def test_nobody_decides_about_their_own_price(self) -> None:
        for approved in (True, False):
            with pytest.raises(OwnProposal):
                self.decide(self.WAITING, by="clerk", approved=approved)

    def test_the_same_decision_again_changes_nothing(self) -> None:
        decided = self.decide(self.WAITING).after
        assert self.decide(decided) is None
        for different in ({"approved": False}, {"by": "other"}):
            with pytest.raises(NoProposal):
                self.decide(decided, **different)

    @pytest.mark.parametrize("number", [5, 7])
    def test_another_proposal_is_not_decided(self, number: int) -> None:
        with pytest.raises(NoProposal):
            self.decide(self.WAITING, number=number)

    def test_a_replaced_proposal_cannot_be_approved(self) -> None:
        replaced = self.WAITING.set(new(6000), "clerk", NOW)
        assert replaced
        with pytest.raises(NoProposal):
            self.decide(replaced.after)


def test_bounds_that_admit_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="min_minor 2 is above max_minor 1: exchange them"):
        convert({"markup_percent": 1, "min_minor": 2, "max_minor": 1}, Bounds)
