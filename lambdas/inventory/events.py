"""Events of inventory: stock, costs and prices."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from lambdas.eventing.event import Event
from lambdas.shared.vocabulary import Currency, Minor, OrderId

Sku = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/+:-]{0,63}$(?!\n)",
        description="Stock keeping unit: 1 to 64 of A-Z a-z 0-9 . _ / + : -",
        examples=["MUG-BLUE"],
    ),
]


UnitCost = Annotated[
    Minor, Meta(description="What the shop pays for a unit, in minor units", examples=[800])
]


class ItemEvent(Event, frozen=True, kw_only=True):
    """Base of the events about an item."""

    source: ClassVar[str] = "orderflow.inventory"

    sku: Sku

    @property
    def subject(self) -> str:
        """The item's SKU."""
        return self.sku


class ItemPriced(ItemEvent, frozen=True, kw_only=True):
    """An item has a new price. Of two prices, the one with the higher revision is newer."""

    unit_price_minor: Minor
    currency: Currency
    revision: Annotated[int, Meta(ge=1, description="Counts the item's prices", examples=[3])]


class ItemCosted(ItemEvent, frozen=True, kw_only=True):
    """A unit of an item has a new cost. Of two, the one with the higher revision is newer."""

    unit_cost_minor: UnitCost
    currency: Currency
    revision: Annotated[int, Meta(ge=1, description="Counts the item's costs", examples=[2])]


class StockReplenished(ItemEvent, frozen=True, kw_only=True):
    """Units of an item arrived."""

    quantity: Annotated[int, Meta(ge=1, description="Units that arrived", examples=[100])]


class StockDepleted(ItemEvent, frozen=True, kw_only=True):
    """The last unit of an item that was for sale is reserved for an order."""


class Reserved(Struct, frozen=True, kw_only=True):
    """Units of one item, reserved for an order."""

    sku: Sku
    quantity: Annotated[int, Meta(ge=1, description="Units", examples=[2])]


class ReservationEvent(Event, frozen=True, kw_only=True):
    """Base of the events about the stock that is reserved for an order."""

    source: ClassVar[str] = "orderflow.inventory"

    order_id: Annotated[OrderId, Meta(description="Order for which the units are reserved")]
    items: Annotated[tuple[Reserved, ...], Meta(description="Each item once")]

    @property
    def subject(self) -> str:
        """The order's id."""
        return self.order_id


class StockReserved(ReservationEvent, frozen=True, kw_only=True):
    """All units of an order are reserved for it."""


class StockIssued(ReservationEvent, frozen=True, kw_only=True):
    """The units of an order have left the shelf: the carrier has the parcel."""


class StockReleased(ReservationEvent, frozen=True, kw_only=True):
    """The units that were reserved for an order, or issued, are for sale again."""


FOR_OUTSIDERS = (StockReplenished, StockDepleted, StockReserved, StockIssued, StockReleased)
"""Events for purchasing and planning: no context reacts to them."""
