"""The representation of prices in answers to staff."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing import telemetry
from lambdas.eventing.http import Problem
from lambdas.inventory.events import Sku
from lambdas.inventory.price_store import Repriced
from lambdas.inventory.pricing import Bounds, Cost, Pricing, Proposal, Step, What
from lambdas.shared.vocabulary import Currency, Minor


class PriceView(Struct, frozen=True, kw_only=True):
    """The price of an item, for staff."""

    sku: Sku
    unit_price_minor: Annotated[Minor | None, Meta(description="None: it is not for sale")]
    currency: Currency | None
    bounds: Annotated[Bounds | None, Meta(description="Without, only staff change the price")]
    cost: Annotated[Cost | None, Meta(description="What the supplier charges for a unit")]
    proposal: Annotated[Proposal | None, Meta(description="A price that waits for approval")]
    last: Annotated[Step | None, Meta(description="What happened last, by whom and when")]


class NoSuchItem(Problem, status=HTTPStatus.NOT_FOUND):
    """The shop has no such item."""


def represent(pricing: Pricing) -> PriceView:
    """Returns the representation of a price."""
    return PriceView(
        sku=pricing.sku,
        unit_price_minor=pricing.unit_price_minor,
        currency=pricing.currency,
        bounds=pricing.bounds,
        cost=pricing.cost,
        proposal=pricing.proposal,
        last=pricing.last,
    )


def count_proposals(repriced: Iterable[Repriced]) -> None:
    """Counts the prices that begin to wait for approval."""
    steps = [each.step.what for each in repriced if each.step]
    telemetry.count("PricesProposed", steps.count(What.PROPOSED))
