"""List orders: GET /orders."""

from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing.http import Request, endpoint
from lambdas.eventing.listing import Cursor, Position
from lambdas.orders import order_store
from lambdas.orders.representation import OrderSummary, summarize

PAGE = 25
"""Maximum orders in one answer."""


class OrdersQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query string: where the page begins."""

    after: Cursor | None = None

    def __post_init__(self) -> None:
        """Rejects a cursor that is not one."""
        _ = self.position

    @property
    def position(self) -> Position | None:
        """The position before the page. Raises ValueError if there is no such position."""
        return Position.at(self.after) if self.after else None


class OrderList(Struct, frozen=True, kw_only=True):
    """Orders of a customer."""

    orders: Annotated[
        tuple[OrderSummary, ...], Meta(max_length=PAGE, description="The newest first")
    ]
    next: Annotated[str | None, Meta(description="Value of `after` for the next page, if any")]


@endpoint(query=OrdersQuery, answers=OrderList, uses=order_store.BY_CUSTOMER.find)
def handler(request: Request, query: OrdersQuery) -> OrderList:
    """List orders.

    Customers see their own orders, each with its current status and without its postal address. An
    order is in the list about a second after it was placed; its own URL shows it at once.
    """
    page = order_store.of_customer(request.caller, limit=PAGE, after=query.position)
    return OrderList(orders=tuple(map(summarize, page.found)), next=page.next)
