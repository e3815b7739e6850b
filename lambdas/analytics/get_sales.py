"""Get sales: GET /sales."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta, Struct

from lambdas.analytics import domain, sales_store
from lambdas.analytics.domain import Amounts, Row
from lambdas.eventing.http import Request, Response, endpoint
from lambdas.inventory.events import Sku
from lambdas.orders.events import OrderConfirmed
from lambdas.returns.events import OrderReturned

LONGEST = timedelta(hours=24)
PAGE = 500
"""Rows in an answer about all items: some 100 KB."""

Moment = Annotated[datetime, Meta(tz=True)]


class SalesQuery(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"start": "from", "end": "to"},
):
    """Which minutes, and of which item if not of all; `after` is the `next` of another answer."""

    start: Moment
    end: Moment
    sku: Sku | None = None
    after: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\dZ,", max_length=100)] | None = (
        None
    )

    def __post_init__(self) -> None:
        """Keeps the range within what one answer may cover."""
        if not 2000 <= self.start.year <= self.end.year < 3000:
            raise ValueError("`from` and `to` must be in the years 2000 to 2999, in this order")
        if not timedelta() < self.end - self.start <= LONGEST:
            raise ValueError("`to` must be later than `from`, by 24 hours at most")
        if self.sku and self.after:
            raise ValueError("`after` goes without `sku`: one item has a single page")
        _ = self.position

    @property
    def position(self) -> Row | None:
        """The row that the page comes after. Raises ValueError if there is no such minute."""
        if self.after is None:
            return None
        minute, _, sku = self.after.partition(",")
        return Row(datetime.fromisoformat(minute).astimezone(UTC), sku)


@endpoint
def handler(request: Request) -> Response:
    """200 with sales and activity per minute and SKU, or a Problem 400, or 403 for customers."""
    request.require_staff()
    query = request.arguments(SalesQuery)
    if query.sku:
        rows, more = sales_store.item(query.sku, query.start, query.end), False
        totals = _of_item(_sum(rows))
    else:
        page = sales_store.page(query.start, query.end, after=query.position, limit=PAGE)
        rows, more = page.rows, page.more
        totals = _of_shop(sales_store.shop(query.start, query.end))
    body = {
        "sales": [
            {"minute": _text(row.minute), "sku": row.sku, **_of_item(amounts)}
            for row, amounts in rows.items()
        ],
        "totals": totals,
        "next": _position_after(rows) if more else None,
    }
    return Response(status=HTTPStatus.OK, body=body)


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


def _of_shop(amounts: Amounts) -> dict[str, Any]:
    events = domain.named(amounts, domain.EVENTS)
    return {
        **_of_item(amounts),
        "orders_confirmed": events.get(OrderConfirmed.detail_type(), 0),
        "orders_returned": events.get(OrderReturned.detail_type(), 0),
        "events": events,
    }


def _position_after(rows: dict[Row, Amounts]) -> str:
    last = next(reversed(rows))
    return f"{_text(last.minute)},{last.sku}"


def _text(minute: datetime) -> str:
    """A minute in UTC, as in `2026-01-05T08:15Z`."""
    return f"{minute.isoformat()[:16]}Z"
