"""Get a price: GET /prices, for staff."""

from msgspec import Struct

from lambdas.eventing.declaration import GET
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.inventory import price_store
from lambdas.inventory.events import Sku
from lambdas.inventory.prices import NoSuchItem, PriceView, represent


class WhichItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query: an item."""

    sku: Sku


@endpoint(
    query=WhichItem, answers=PriceView, audience=Audience.STAFF, problems=(NoSuchItem,), uses=(GET,)
)
def handler(request: Request, query: WhichItem) -> PriceView:
    """Get the price of an item, its cost, and a price that waits for approval."""
    pricing = price_store.find(query.sku)
    if pricing is None:
        raise NoSuchItem(f"there is no item {query.sku!r}")
    return represent(pricing)
