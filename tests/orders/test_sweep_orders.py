"""The sweeper: exactly the orders whose checkout never completes expire."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from lambdas.eventing import aws
from lambdas.orders.domain import OrderClosed
from lambdas.orders.settings import settings
from tests.orders.context import Orders
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.messages import context

ENDS = {"confirm": "confirmed", "reject": "rejected", "cancel": "cancelled"}


def progress_of(orders: Orders, order_id: str) -> tuple[str, list[str]]:
    """The status and the history of an order."""
    order = orders.get(order_id).json
    return order["status"], [step["what"] for step in order["history"]]


def later(**age: float) -> Any:
    return time_machine.travel(datetime.now(UTC) + timedelta(**age), tick=False)


def test_an_order_whose_checkout_never_completes_expires(
    orders: Orders, capsys: pytest.CaptureFixture[str]
) -> None:
    order_id = orders.an_order()
    with later(minutes=61):
        orders.sweep()
    assert progress_of(orders, order_id) == ("expired", ["placed", "expired"])
    assert orders.table.published() == ["OrderExpired.v1", "OrderPlaced.v2"]
    assert '"ExpiredOrders":[1.0]' in capsys.readouterr().out


def test_an_order_does_not_expire_while_its_checkout_may_still_run(orders: Orders) -> None:
    order_id = orders.an_order()
    with later(minutes=59):
        orders.sweep()
    assert progress_of(orders, order_id)[0] == "placed"


@pytest.mark.parametrize("end", ENDS)
def test_a_settled_order_is_no_longer_pending(orders: Orders, end: str) -> None:
    order_id = orders.an_order()
    assert "pending_shard" in orders.table.one("order")
    orders.cancel(order_id) if end == "cancel" else getattr(orders, end)()
    assert not {"pending_shard", "pending_since"} & orders.table.one("order").keys()
    settled = orders.get(order_id).json
    with later(hours=2):
        orders.sweep()
    assert orders.get(order_id).json == settled


@pytest.mark.parametrize("end", ENDS)
def test_an_order_settled_in_the_meantime_is_not_expired(
    orders: Orders, commits: Commits, end: str
) -> None:
    order_id = orders.an_order()
    settle: Any = getattr(orders, end)
    commits.before(1, lambda: settle(order_id) if end == "cancel" else settle())
    with later(hours=2):
        orders.sweep()
    assert progress_of(orders, order_id)[0] == ENDS[end]
    assert "OrderExpired.v1" not in orders.table.published()


def test_the_table_takes_precedence_over_the_index(orders: Orders, cloud: Cloud) -> None:
    """A secondary index lags behind its table."""
    order_id = orders.an_order()
    query: Any = aws.dynamodb().query

    def confirmed_meanwhile(**request: Any) -> Any:
        answer = query(**request)
        orders.confirm()
        return answer

    cloud.monkeypatch.setattr(aws.dynamodb(), "query", confirmed_meanwhile)
    with later(hours=2):
        orders.sweep()
    assert progress_of(orders, order_id)[0] == "confirmed"


def test_an_expired_order_cannot_be_confirmed_rejected_or_cancelled(orders: Orders) -> None:
    order_id = orders.an_order()
    with later(minutes=61):
        orders.sweep()
        orders.sweep()
    with pytest.raises(OrderClosed, match=r"^expired$"):
        orders.confirm()
    orders.reject()
    assert orders.cancel(order_id).status == 409
    assert progress_of(orders, order_id)[0] == "expired"
    assert orders.table.published() == ["OrderExpired.v1", "OrderPlaced.v2"]


def place_many(orders: Orders, count: int) -> list[str]:
    """Places orders a second after each other; the ids in this order."""
    orders.priced()
    placed = []
    for number in range(count):
        with later(seconds=number):
            placed.append(orders.place(key=f"key-{number}").json["order_id"])
    return placed


def expired_of(orders: Orders, placed: list[str]) -> list[str]:
    return [order_id for order_id in placed if progress_of(orders, order_id)[0] == "expired"]


@pytest.fixture
def small_batches(cloud: Cloud) -> None:
    """Three orders in a batch."""
    cloud.monkeypatch.setattr("lambdas.eventing.store.BATCH", 3)


def test_a_sweep_expires_every_overdue_order_batch_by_batch(
    orders: Orders, small_batches: None, commits: Commits, capsys: pytest.CaptureFixture[str]
) -> None:
    placed = place_many(orders, 8)
    commits.sizes.clear()
    with later(hours=2):
        orders.sweep()
    assert expired_of(orders, placed) == placed
    # Of each order: itself, its event, and what the vault has.
    assert commits.sizes == [12, 12, 8]
    assert '"ExpiredOrders":[3.0,3.0,2.0]' in capsys.readouterr().out


def test_a_sweep_stops_when_its_time_is_up_and_the_next_one_continues(
    orders: Orders, small_batches: None, capsys: pytest.CaptureFixture[str]
) -> None:
    placed = place_many(orders, 8)
    for done, unfinished in ((3, True), (6, True), (8, False)):
        left = iter([10_000, 4_000])
        with later(hours=2):
            orders.sweep(context(left.__next__))
        assert expired_of(orders, placed) == placed[:done]
        assert ('"UnfinishedSweeps":[1.0]' in capsys.readouterr().out) == unfinished


def test_an_order_settled_in_the_meantime_does_not_keep_its_batch_from_expiring(
    orders: Orders, commits: Commits
) -> None:
    placed = place_many(orders, 5)
    commits.before(1, lambda: orders.cancel(placed[3]))
    with later(hours=2):
        orders.sweep()
    assert expired_of(orders, placed) == [*placed[:3], placed[4]]
    assert progress_of(orders, placed[3])[0] == "cancelled"
    assert orders.table.published().count("OrderExpired.v1") == 4


def test_sweeps_that_overlap_expire_each_order_once(
    orders: Orders, small_batches: None, commits: Commits
) -> None:
    placed = place_many(orders, 8)
    with later(hours=2):
        commits.before(2, orders.sweep)
        orders.sweep()
    assert expired_of(orders, placed) == placed
    assert orders.table.published().count("OrderExpired.v1") == len(placed)


def test_a_crashed_sweep_is_completed_by_the_next(
    orders: Orders, small_batches: None, commits: Commits
) -> None:
    placed = place_many(orders, 8)
    commits.after(2, crash)
    with later(hours=2):
        with pytest.raises(Crash):
            orders.sweep()
        orders.sweep()
    assert expired_of(orders, placed) == placed
    assert orders.table.published().count("OrderExpired.v1") == len(placed)


def test_the_time_limit_is_a_setting(orders: Orders, cloud: Cloud) -> None:
    cloud.configure({"CHECKOUT_MINUTES": "5"})
    assert settings().checkout_minutes == 5
    order_id = orders.an_order()
    with later(minutes=6):
        orders.sweep()
    assert progress_of(orders, order_id)[0] == "expired"
