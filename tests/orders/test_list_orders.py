"""Listing orders: each customer sees their own, the newest first, page by page."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from lambdas.eventing import aws
from lambdas.eventing.listing import Position
from tests.orders.context import Orders
from tests.support.cloud import Cloud

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small_pages(cloud: Cloud) -> None:
    """Three orders on a page."""
    cloud.monkeypatch.setattr("lambdas.orders.list_orders.PAGE", 3)


def place(orders: Orders, count: int, *, caller: str = "customer-1", hours: int = 0) -> list[str]:
    """Places orders a minute after each other; the ids, the newest first."""
    orders.priced()
    placed = []
    for number in range(count):
        at = START + timedelta(hours=hours, minutes=number)
        with time_machine.travel(at, tick=False):
            placed.append(orders.place(key=f"{hours}-{number}", caller=caller).json["order_id"])
    return placed[::-1]


def pages(orders: Orders, **options: Any) -> list[list[str]]:
    """The ids on all pages."""
    found, query = [], dict[str, str]()
    while True:
        answer = orders.page(**query, **options)
        assert answer.status == 200
        found.append([order["order_id"] for order in answer.json["orders"]])
        if answer.json["next"] is None:
            return found
        query = {"after": answer.json["next"]}


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6, 7])
def test_the_pages_contain_every_order_once_the_newest_first(orders: Orders, count: int) -> None:
    placed = place(orders, count)
    expected = [placed[start : start + 3] for start in range(0, count, 3)] or [[]]
    assert pages(orders) == expected


def test_an_order_in_the_list_is_as_at_its_own_url_without_the_postal_address(
    orders: Orders,
) -> None:
    (order_id,) = place(orders, 1)
    orders.cancel(order_id)
    order = orders.get(order_id).json
    assert order.pop("shipping_address")
    assert orders.page().json["orders"] == [order]
    assert orders.page().json["orders"][0]["status"] == "cancelled"


def test_customers_see_only_their_own_orders(orders: Orders) -> None:
    mine, others = place(orders, 4), place(orders, 4, caller="customer-2", hours=1)
    assert [each for page in pages(orders) for each in page] == mine
    assert [each for page in pages(orders, caller="customer-2") for each in page] == others
    assert pages(orders, caller="customer-3") == [[]]


def test_the_cursor_of_another_customer_shows_nothing_of_theirs(orders: Orders) -> None:
    mine, _ = place(orders, 4), place(orders, 4, caller="customer-2", hours=-1)
    theirs = orders.page(caller="customer-2").json["next"]
    stolen = orders.page(after=theirs).json
    assert (stolen["orders"], stolen["next"]) == ([], None)
    theirs_later = orders.page(after=orders.page().json["next"], caller="customer-2").json
    assert {order["order_id"] for order in theirs_later["orders"]}.isdisjoint(mine)


def test_a_forged_cursor_is_a_position_in_the_callers_own_list_at_most(orders: Orders) -> None:
    mine, others = place(orders, 2), place(orders, 2, caller="customer-2", hours=1)
    for order_id in others:
        forged = Position("2030-01-01T00:00:00Z", f"ORDER#{order_id}", "ORDER").cursor
        found = orders.page(after=forged).json["orders"]
        assert [order["order_id"] for order in found] == mine


@pytest.mark.parametrize(
    "cursor",
    ["x", "not a cursor", "=", "AAAA", "W10", "", "x" * 201, "ä"]
    + [urlsafe_b64encode(text).decode().rstrip("=") for text in (b"[1,2,3]", b'["","",""]')]
    + [urlsafe_b64encode(b'["2026-01-05T08:00:00Z","",""]').decode().rstrip("=")],
)
def test_a_cursor_that_no_page_has_is_refused(orders: Orders, cursor: str) -> None:
    place(orders, 1)
    answer = orders.page(after=cursor)
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")


def test_an_order_that_left_the_list_is_not_shown_although_the_index_has_it(
    orders: Orders, cloud: Cloud
) -> None:
    """A secondary index lags behind its table."""
    first, second = place(orders, 2)
    query: Any = aws.dynamodb().query

    def changed_meanwhile(**request: Any) -> Any:
        answer = query(**request)
        (stored,) = [item for item in orders.table.items("order") if item["order_id"] == first]
        # Another function writes: no declaration of the running handler applies.
        Context().run(orders.table.put, {**stored, "customer_id": "erased"})
        return answer

    cloud.monkeypatch.setattr(aws.dynamodb(), "query", changed_meanwhile)
    assert pages(orders) == [[second]]


def test_a_cursor_contains_no_secret_and_no_personal_data(orders: Orders) -> None:
    place(orders, 4)
    cursor = orders.page().json["next"]
    plain = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    assert "customer-1" not in plain


def test_orders_of_earlier_releases_are_listed(orders: Orders) -> None:
    """The index uses attributes that each order always had."""
    placed = place(orders, 1)
    orders.table.as_stored_earlier("order", "revision")
    assert pages(orders) == [placed]
