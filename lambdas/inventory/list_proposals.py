"""List proposals: GET /prices/proposals, for staff."""

from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing import pending
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.inventory import price_store
from lambdas.inventory.prices import PriceView, represent

MOST = 50
"""Maximum prices in one answer. Decided proposals make room for the next."""


class ProposedPrices(Struct, frozen=True, kw_only=True):
    """Items with a price that waits for approval."""

    prices: Annotated[
        tuple[PriceView, ...], Meta(max_length=MOST, description="The oldest proposal first")
    ]


@endpoint(answers=ProposedPrices, audience=Audience.STAFF, uses=pending.FIND)
def handler(request: Request) -> ProposedPrices:
    """List prices that wait for approval.

    Decided proposals make room for the next.
    """
    waiting = price_store.waiting(limit=MOST)
    return ProposedPrices(prices=tuple(represent(found) for found in waiting))
