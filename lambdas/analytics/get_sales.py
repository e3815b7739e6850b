"""Get sales: GET /sales."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from lambdas.analytics import domain, sales_store
from lambdas.analytics.domain import Amounts, Row
from lambdas.eventing.declaration import BATCH_GET, QUERY
from lambdas.eventing.event import Event, Moment
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.inventory.events import Sku
from lambdas.orders.events import OrderConfirmed
from lambdas.returns.events import OrderReturned
from lambdas.shared.vocabulary import Currency

LONGEST = timedelta(hours=24)
PAGE = 500
"""Maximum rows in an answer about all items: about 100 KB."""


class SalesQuery(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"start": "from", "end": "to"},
):
    """The query: a range of time, an item or all items, and the `next` of an earlier answer."""

    start: Annotated[
        Moment, Meta(description="The first moment", examples=["2026-01-05T08:00:00Z"])
    ]
    end: Annotated[
        Moment,
        Meta(
            description="The moment before which minutes begin: up to 24 hours later",
            examples=["2026-01-05T20:00:00Z"],
        ),
    ]
    sku: Annotated[Sku | None, Meta(description="The item, if not all of them")] = None
    after: Annotated[
        Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\dZ,", max_length=100)] | None,
        Meta(
            description="`next` of the answer before; not together with `sku`",
            examples=["2026-01-05T08:15Z,MUG-BLUE"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Rejects a range that one answer cannot cover."""
        if not 2000 <= self.start.year <= self.end.year < 3000:
            raise ValueError("`from` and `to` must be in the years 2000 to 2999, in this order")
        if not timedelta() < self.end - self.start <= LONGEST:
            raise ValueError("`to` must be later than `from`, by 24 hours at most")
        if self.sku and self.after:
            raise ValueError("`after` goes without `sku`: one item has a single page")
        _ = self.position

    @property
    def position(self) -> Row | None:
        """The row before the page. Raises ValueError if there is no such minute."""
        if self.after is None:
            return None
        minute, _, sku = self.after.partition(",")
        try:
            # `fromisoformat` accepts 24:00 on some versions of Python.
            moment = datetime.strptime(minute, "%Y-%m-%dT%H:%M%z")
        except ValueError:
            raise ValueError(f"`after` begins with {minute}: there is no such minute") from None
        return Row(moment.astimezone(UTC), sku)


class Sold(Struct, frozen=True, kw_only=True):
    """Sales and activity."""

    units: Annotated[int, Meta(description="Units in confirmed orders")]
    revenue_minor: Annotated[
        dict[Currency, int], Meta(description="Revenue, in minor units of each currency")
    ]
    views: Annotated[int, Meta(description="How often customers looked at it")]
    added_to_cart: Annotated[int, Meta(description="Units that customers put into carts")]


class ItemMinute(Sold, frozen=True, kw_only=True):
    """Sales and activity of one item in one minute."""

    minute: Annotated[str, Meta(description="When it began", examples=["2026-01-05T08:15Z"])]
    sku: Sku


class Totals(Sold, frozen=True, kw_only=True):
    """The sums of all minutes. Orders and events are there only for all items."""

    orders_confirmed: int | UnsetType = UNSET
    orders_returned: int | UnsetType = UNSET
    events: (
        Annotated[
            dict[str, int],
            Meta(description="Number of sales, returns and activities, by the type of the event"),
        ]
        | UnsetType
    ) = UNSET


class SalesView(Struct, frozen=True, kw_only=True):
    """Sales and activity: the minutes of items in chronological order, and the sums."""

    sales: tuple[ItemMinute, ...]
    totals: Totals
    next: Annotated[str | None, Meta(description="Value of `after` for the next page, if any")]


@endpoint(query=SalesQuery, answers=SalesView, audience=Audience.STAFF, uses=(QUERY, BATCH_GET))
def handler(request: Request, query: SalesQuery) -> SalesView:
    """Get sales.

    Sales and activity of up to 24 hours, per minute and item. Minutes without any are left out.
    Each event counts once. The figures of a minute are complete soon after its end.
    """
    if query.sku:
        rows, more = sales_store.item(query.sku, query.start, query.end), False
        totals = Totals(**_of_item(_sum(rows)))
    else:
        page = sales_store.page(query.start, query.end, after=query.position, limit=PAGE)
        rows, more = page.rows, page.more
        totals = _of_shop(sales_store.shop(query.start, query.end))
    return SalesView(
        sales=tuple(
            ItemMinute(minute=_text(row.minute), sku=row.sku or "", **_of_item(amounts))
            for row, amounts in rows.items()
        ),
        totals=totals,
        next=_position_after(rows) if more else None,
    )


def _sum(rows: dict[Row, Amounts]) -> Amounts:
    total: Counter[str] = Counter()
    for amounts in rows.values():
        total.update(amounts)
    return total


def _of_item(amounts: Amounts) -> dict[str, Any]:
    return {
        "units": amounts.get(domain.UNITS, 0),
        "revenue_minor": domain.named(amounts, domain.REVENUE),
        "views": amounts.get(domain.VIEWS, 0),
        "added_to_cart": amounts.get(domain.ADDED_TO_CART, 0),
    }


def _of_shop(amounts: Amounts) -> Totals:
    events = domain.named(amounts, domain.EVENTS)
    return Totals(
        **_of_item(amounts),
        orders_confirmed=_count(OrderConfirmed, events),
        orders_returned=_count(OrderReturned, events),
        events=events,
    )


def _count(event: type[Event], events: Mapping[str, int]) -> int:
    """Returns how often an event happened, in all its versions. A copy is not counted again."""
    return sum(events.get(version.detail_type(), 0) for version in event.versions())


def _position_after(rows: dict[Row, Amounts]) -> str:
    last = next(reversed(rows))
    return f"{_text(last.minute)},{last.sku}"


def _text(minute: datetime) -> str:
    """Formats a minute in UTC, as in `2026-01-05T08:15Z`."""
    return f"{minute.isoformat()[:16]}Z"
