"""Events of analytics: customers' activity. They go on its stream, not on the bus."""

from typing import Annotated, ClassVar

from msgspec import Meta

from lambdas.eventing.event import Event
from lambdas.inventory.events import Sku
from lambdas.shared.vocabulary import Currency, Minor


class ActivityEvent(Event, frozen=True, kw_only=True):
    """Base of the events about a customer's activity, with the price that the customer saw."""

    source: ClassVar[str] = "orderflow.analytics"

    sku: Sku
    unit_price_minor: Minor
    currency: Currency

    @property
    def subject(self) -> str:
        """The item's SKU."""
        return self.sku


class ItemViewed(ActivityEvent, frozen=True, kw_only=True):
    """A customer looked at an item."""


class ItemAddedToCart(ActivityEvent, frozen=True, kw_only=True):
    """A customer put units of an item into the cart."""

    quantity: Annotated[int, Meta(ge=1, le=100_000, description="Units", examples=[2])]
