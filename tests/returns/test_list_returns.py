"""Listing returns: staff see all of them, the newest first, or those that wait for a decision."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from tests.returns.context import ORDERS, Returns
from tests.support.cloud import Cloud

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small_pages(cloud: Cloud) -> None:
    """Two returns on a page."""
    cloud.monkeypatch.setattr("lambdas.returns.list_returns.PAGE", 2)


def request(returns: Returns, *numbers: int) -> None:
    """Requests returns an hour after each other."""
    for hour, number in enumerate(numbers):
        with time_machine.travel(START + timedelta(hours=hour), tick=False):
            returns.awaiting(ORDERS[number])


def listed(returns: Returns) -> list[list[str]]:
    """The order ids on all pages."""
    found, query = [], dict[str, str]()
    while True:
        answer = returns.page(**query)
        assert answer.status == 200
        found.append([each["order_id"] for each in answer.json["returns"]])
        if answer.json["next"] is None:
            return found
        query = {"after": answer.json["next"]}


def test_all_returns_are_listed_the_newest_first_in_any_state(returns: Returns) -> None:
    request(returns, 2, 1, 3)
    returns.decide(ORDERS[2])
    returns.complete(ORDERS[2])
    assert listed(returns) == [[ORDERS[3], ORDERS[1]], [ORDERS[2]]]
    states = [each["state"] for each in returns.page().json["returns"]]
    assert states == ["awaiting", "awaiting"]


def test_nothing_else_in_the_table_is_listed(returns: Returns) -> None:
    returns.delivered(ORDERS[1])
    request(returns, 2)
    returns.decide(ORDERS[2])
    assert listed(returns) == [[ORDERS[2]]]


def test_a_table_without_returns_has_an_empty_list(returns: Returns) -> None:
    assert listed(returns) == [[]]


@pytest.mark.parametrize(
    "query",
    [{"after": "x"}, {"waiting": "perhaps"}, {"waiting": "true", "after": "W10"}, {"more": "1"}],
    ids=str,
)
def test_a_query_that_means_nothing_is_refused(returns: Returns, query: dict[str, str]) -> None:
    answer = returns.page(**query)
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")


def test_the_waiting_returns_cannot_be_paged(returns: Returns) -> None:
    request(returns, 1, 2, 3)
    cursor = returns.page().json["next"]
    assert returns.page(waiting="true", after=cursor).status == 400
    assert returns.page(waiting="true").json["next"] is None
