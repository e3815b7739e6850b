"""The limit of orders: a customer may place so many in an hour, and others are not affected."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from lambdas.orders.domain import wait_before_next
from tests.orders.context import Orders
from tests.support.cloud import Cloud, Commits

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def limit(orders: Orders, cloud: Cloud) -> None:
    """Three orders in an hour."""
    cloud.configure({"ORDERS_PER_HOUR": "3"})
    orders.priced()


def place(orders: Orders, *minutes: float) -> list[int]:
    """Places an order at each of these minutes; the statuses of the answers."""
    statuses = []
    for minute in minutes:
        with time_machine.travel(START + timedelta(minutes=minute), tick=False):
            statuses.append(orders.place(key=f"at {minute}").status)
    return statuses


def test_a_customer_who_placed_too_many_orders_has_to_wait(orders: Orders) -> None:
    assert place(orders, 0, 10, 20) == [202] * 3
    with time_machine.travel(START + timedelta(minutes=45), tick=False):
        answer = orders.place(key="one too many")
    assert (answer.status, answer.json["code"]) == (429, "too_many_orders")
    assert answer.headers["retry-after"] == str(15 * 60)
    assert answer.json["wait_s"] == 15 * 60
    assert "try again in 900 seconds" in answer.json["detail"]
    assert len(orders.table.items("order")) == 3


def test_after_the_wait_the_next_order_is_accepted(orders: Orders) -> None:
    assert place(orders, 0, 10, 20, 59, 60, 61, 70) == [202, 202, 202, 429, 202, 429, 202]


def test_refused_requests_do_not_extend_the_wait(orders: Orders) -> None:
    place(orders, 0, 10, 20, *range(30, 60))
    assert place(orders, 60) == [202]


def test_a_repeated_request_is_answered_and_does_not_count(orders: Orders) -> None:
    place(orders, 0, 10)
    assert place(orders, 0, 10, 0, 10) == [202] * 4
    assert place(orders, 20) == [202]
    assert place(orders, 21) == [429]
    assert place(orders, 20) == [202]


def test_other_customers_are_not_affected(orders: Orders) -> None:
    place(orders, 0, 10, 20)
    with time_machine.travel(START + timedelta(minutes=30), tick=False):
        assert orders.place(key="k", caller="customer-2").status == 202


def test_a_refused_order_writes_nothing(orders: Orders, commits: Commits) -> None:
    place(orders, 0, 10, 20)
    before = commits.count
    assert place(orders, 30) == [429]
    assert commits.count == before


@pytest.mark.parametrize(
    ("ages", "wait"),
    [
        ([], None),
        ([0, 0], None),
        ([0, 0, 0], 60),
        ([1, 2, 30], 30),
        ([1, 2, 59.5], 0.5),
        ([1, 2, 60], None),
        ([1, 2, 61], None),
        ([1, 2, 50, 10_000], 10),
    ],
)
def test_the_wait_ends_when_the_oldest_of_the_last_orders_is_an_hour_old(
    ages: list[float], wait: float | None
) -> None:
    newest = [START - timedelta(minutes=age) for age in ages]
    expected = None if wait is None else timedelta(minutes=wait)
    assert wait_before_next(newest, 3, START) == expected
