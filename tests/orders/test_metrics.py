"""Business metrics: each order counts once, despite repetitions."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from tests.orders.context import Orders


def test_repeated_requests_and_tasks_count_once(
    orders: Orders, capsys: pytest.CaptureFixture[str]
) -> None:
    orders.an_order()
    orders.place()
    orders.confirm()
    orders.confirm()
    out = capsys.readouterr().out
    assert out.count('"OrdersPlaced":[1.0]') == out.count('"OrdersConfirmed":[1.0]') == 1
    assert out.count('"PlacedToConfirmed":[') == 1
    assert '"OrdersRejected"' not in out


def test_the_time_until_confirmation_is_in_milliseconds(
    orders: Orders, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    with time_machine.travel(now, tick=False):
        orders.an_order()
    with time_machine.travel(now + timedelta(milliseconds=2500), tick=False):
        orders.confirm()
    assert '"PlacedToConfirmed":[2500.0]' in capsys.readouterr().out


def test_a_rejection_counts_once(orders: Orders, capsys: pytest.CaptureFixture[str]) -> None:
    orders.an_order()
    orders.reject()
    orders.reject()
    assert capsys.readouterr().out.count('"OrdersRejected":[1.0]') == 1
