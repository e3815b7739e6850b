"""Rules of selling prices, without AWS."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from msgspec import Meta, Struct, structs

from lambdas.eventing.aggregate import Aggregate, Change
from lambdas.eventing.event import Moment
from lambdas.inventory.events import ItemCosted, ItemPriced, Sku
from lambdas.shared.vocabulary import MAX_MINOR, Currency, Minor

LARGE_PERCENT = 25
"""A price that differs by more than this from the one before waits for approval."""

AUTOMATIC = "automatic"
"""In place of a person: the price followed the cost."""


class NoProposal(Exception):
    """This proposal does not wait for a decision: it was decided or replaced."""


class OwnProposal(Exception):
    """Nobody decides about their own proposal."""


class Doubt(StrEnum):
    """Why a price waits for approval."""

    FREE = "free"
    LARGE_CHANGE = "large_change"
    BELOW_COST = "below_cost"
    OUT_OF_BOUNDS = "out_of_bounds"


class PriceReason(StrEnum):
    """Why a proposed price applies, or does not.

    - `promotion`: a sale, or a gift
    - `clearance`: the last units are to go
    - `cost`: the cost has changed
    - `market`: others sell at such a price
    - `correction`: the price before was wrong
    - `mistake`: the proposed price is wrong
    - `other`: something else
    """

    PROMOTION = "promotion"
    CLEARANCE = "clearance"
    COST = "cost"
    MARKET = "market"
    CORRECTION = "correction"
    MISTAKE = "mistake"
    OTHER = "other"


class What(StrEnum):
    """What happened to a price."""

    SET = "set"
    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"


class Bounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Within these bounds, the price follows the cost. Raises ValueError if they are empty."""

    markup_percent: Annotated[
        int, Meta(ge=0, le=1_000, description="What the price adds to the cost", examples=[50])
    ]
    min_minor: Annotated[Minor, Meta(description="The lowest price", examples=[900])]
    max_minor: Annotated[Minor, Meta(description="The highest price", examples=[2000])]

    def __post_init__(self) -> None:
        """Raises ValueError if no price is within the bounds."""
        if self.min_minor > self.max_minor:
            raise ValueError(
                f"min_minor {self.min_minor} is above max_minor {self.max_minor}: exchange them"
            )

    def admit(self, price_minor: int) -> bool:
        """Whether a price is within the bounds."""
        return self.min_minor <= price_minor <= self.max_minor

    def price_of(self, cost_minor: int) -> int:
        """The price that follows from a cost, in whole minor units, rounded up."""
        return min(MAX_MINOR, -(-cost_minor * (100 + self.markup_percent) // 100))


class NewPrice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of an item, and the bounds within which it follows the cost."""

    sku: Sku
    unit_price_minor: Minor
    currency: Currency
    bounds: Bounds | None = None


class Cost(Struct, frozen=True, kw_only=True):
    """What the shop pays for a unit."""

    unit_cost_minor: Minor
    currency: Currency
    revision: int


class Proposal(Struct, frozen=True, kw_only=True):
    """A price that waits for approval."""

    number: Annotated[int, Meta(description="The number to decide about", examples=[4])]
    unit_price_minor: Minor
    currency: Currency
    doubt: Doubt
    by: Annotated[str, Meta(description="The staff member, or `automatic`")]
    at: Moment


class Step(Struct, frozen=True, kw_only=True):
    """What happened to a price: who did it, and when. Each is kept in a record of its own."""

    what: What
    number: int
    unit_price_minor: Minor
    currency: Currency
    by: Annotated[str, Meta(description="The staff member, or `automatic`")]
    at: Moment
    reason: PriceReason | None = None


class Pricing(Aggregate, frozen=True, kw_only=True):
    """The selling price of an item. Without one, the item is not for sale."""

    sku: str
    unit_price_minor: int | None = None
    currency: str | None = None
    price_revision: int = 0
    bounds: Bounds | None = None
    cost: Cost | None = None
    proposal: Proposal | None = None
    last: Step | None = None

    @property
    def pending_since(self) -> datetime | None:
        """The time since when a proposal waits, if one does."""
        return self.proposal.at if self.proposal else None

    def set(self, new: NewPrice, by: str, now: datetime) -> Change[Self] | None:
        """Sets the price and its bounds for staff; a doubtful price waits for a colleague.

        Does nothing if both are as they should be, or if the same price waits already.
        """
        price, currency = new.unit_price_minor, new.currency
        stands = self.proposal or self
        if (stands.unit_price_minor, stands.currency, self.bounds) == (price, currency, new.bounds):
            return None
        doubt = self._doubt(price, currency)
        return self._price(price, currency, doubt, by, now, bounds=new.bounds)

    def follow(self, cost: ItemCosted, now: datetime) -> Change[Self] | None:
        """Follows a cost within the bounds; a doubtful price waits. None if it is outdated.

        A proposal of staff stays: only staff replace it.
        """
        if self.cost and cost.revision <= self.cost.revision:
            return None
        known = Cost(
            unit_cost_minor=cost.unit_cost_minor, currency=cost.currency, revision=cost.revision
        )
        of_staff = self.proposal is not None and self.proposal.by != AUTOMATIC
        if of_staff or self.bounds is None or self.currency not in {None, cost.currency}:
            return self.becomes(cost=known)
        price = self.bounds.price_of(cost.unit_cost_minor)
        if (price, cost.currency) == (self.unit_price_minor, self.currency):
            return self.becomes(cost=known, proposal=None)
        doubt = None if self.bounds.admit(price) else Doubt.OUT_OF_BOUNDS
        doubt = structs.replace(self, cost=known)._doubt(price, cost.currency) or doubt
        return self._price(price, cost.currency, doubt, AUTOMATIC, now, cost=known)

    def decide(
        self, number: int, *, approved: bool, reason: PriceReason, by: str, now: datetime
    ) -> Change[Self] | None:
        """Decides about the proposal; does nothing if this decision was taken before.

        Raises NoProposal or OwnProposal.
        """
        what = What.APPROVED if approved else What.REFUSED
        last = self.last
        if last and (last.what, last.number, last.by) == (what, number, by):
            return None
        proposal = self.proposal
        if proposal is None or proposal.number != number:
            raise NoProposal(self.sku)
        if proposal.by == by:
            raise OwnProposal(self.sku)
        price, currency = proposal.unit_price_minor, proposal.currency
        step = self._step(what, price, currency, by, now, number=number, reason=reason)
        if not approved:
            return self.becomes(proposal=None, last=step)
        return self._priced(price, currency, last=step)

    def _price(
        self,
        price: int,
        currency: str,
        doubt: Doubt | None,
        by: str,
        now: datetime,
        **fields: object,
    ) -> Change[Self]:
        if doubt is None:
            step = self._step(What.SET, price, currency, by, now)
            return self._priced(price, currency, last=step, **fields)
        step = self._step(What.PROPOSED, price, currency, by, now)
        proposal = Proposal(
            number=step.number,
            unit_price_minor=price,
            currency=currency,
            doubt=doubt,
            by=by,
            at=now,
        )
        return self.becomes(proposal=proposal, last=step, **fields)

    def _priced(self, price: int, currency: str, **fields: object) -> Change[Self]:
        revision = self.price_revision
        events = []
        if (price, currency) != (self.unit_price_minor, self.currency):
            revision += 1
            events = [
                ItemPriced(
                    sku=self.sku, unit_price_minor=price, currency=currency, revision=revision
                )
            ]
        return self.becomes(
            *events,
            unit_price_minor=price,
            currency=currency,
            price_revision=revision,
            proposal=None,
            **fields,
        )

    def _step(
        self,
        what: What,
        price: int,
        currency: str,
        by: str,
        now: datetime,
        *,
        number: int | None = None,
        reason: PriceReason | None = None,
    ) -> Step:
        """A step; a proposal, and the decision about it, have the same number."""
        return Step(
            what=what,
            number=number or self.revision + 1,
            unit_price_minor=price,
            currency=currency,
            by=by,
            at=now,
            reason=reason,
        )

    def _doubt(self, price: int, currency: str) -> Doubt | None:
        if price == 0 and (price, currency) != (self.unit_price_minor, self.currency):
            return Doubt.FREE
        before = self.unit_price_minor
        if before is not None:
            change = abs(price - before) * 100
            if currency != self.currency or change > LARGE_PERCENT * before:
                return Doubt.LARGE_CHANGE
        cost = self.cost
        if cost and cost.currency == currency and price < cost.unit_cost_minor:
            return Doubt.BELOW_COST
        return None
