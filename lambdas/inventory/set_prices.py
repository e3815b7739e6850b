"""Set prices: PUT /prices, for staff."""

from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing.declaration import GET, PUT, UPDATE
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.inventory import price_store, prices
from lambdas.inventory.events import ItemPriced
from lambdas.inventory.price_store import AT_ONCE
from lambdas.inventory.prices import PriceView
from lambdas.inventory.pricing import NewPrice


class SetPrices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request body: prices of different items. Raises ValueError if one is there twice."""

    prices: Annotated[tuple[NewPrice, ...], Meta(min_length=1, max_length=AT_ONCE)]

    def __post_init__(self) -> None:
        """Raises ValueError if an item is there twice."""
        skus = [price.sku for price in self.prices]
        if doubled := sorted({sku for sku in skus if skus.count(sku) > 1}):
            raise ValueError(f"prices has {', '.join(doubled)} twice: name each item once")


class Prices(Struct, frozen=True, kw_only=True):
    """Prices, for staff."""

    prices: tuple[PriceView, ...]


@endpoint(
    body=SetPrices,
    answers=Prices,
    audience=Audience.STAFF,
    publishes=(ItemPriced,),
    uses=(GET, UPDATE, PUT),
)
def handler(request: Request, command: SetPrices) -> Prices:
    """Set prices.

    All of them are set, or none. A price of 0, a large change, and a price below the cost wait for
    the approval of a colleague: see `proposal`. A repetition gets the same answer.
    """
    repriced = price_store.set_prices(command.prices, request.caller, request)
    prices.count_proposals(repriced)
    return Prices(prices=tuple(prices.represent(each.pricing) for each in repriced))
