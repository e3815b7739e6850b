"""Canary orders, and synthetic orders of test users."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from msgspec import structs

from lambdas.eventing.event import CloudEvent
from lambdas.eventing.http import SYNTHETIC
from lambdas.orders import place_canary
from lambdas.orders.events import CanaryDue, OrderPlaced, OrderRejected
from lambdas.shared.vocabulary import SYNTHETIC_ITEMS
from tests.orders.context import Orders
from tests.support.messages import CONTEXT, batch, enveloped, failed
from tests.support.orders import line
from tests.support.telemetry import metrics

ITEM = f"{SYNTHETIC_ITEMS}1"


def due() -> CloudEvent:
    return structs.replace(enveloped(CanaryDue()), synthetic=True)


def run(event: CloudEvent) -> None:
    assert failed(place_canary.handler(batch(event), CONTEXT)) == []


def test_a_canary_order_is_synthetic_and_placed_once(orders: Orders) -> None:
    event = due()
    run(event)
    run(event)
    (placed,) = orders.table.envelopes(OrderPlaced)
    assert placed.synthetic is True
    orders.reject()
    (rejected,) = orders.table.envelopes(OrderRejected)
    assert rejected.synthetic is True


@pytest.mark.parametrize(("rejected", "minutes"), [(True, 0), (False, 30)])
def test_the_next_run_measures_how_long_the_order_took(
    orders: Orders, capsys: pytest.CaptureFixture[str], rejected: bool, minutes: float
) -> None:
    now = datetime(2026, 1, 5, 8, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        run(due())
    if rejected:
        with time_machine.travel(now + timedelta(seconds=2), tick=False):
            orders.reject()
    capsys.readouterr()
    with time_machine.travel(now + timedelta(minutes=30), tick=False):
        run(due())

    expected_s = 2 if rejected else minutes * 60
    assert metrics(capsys)["CanaryOrder"] == expected_s * 1000


@pytest.mark.parametrize("groups", ["[synthetic]", "[others synthetic]"])
def test_only_test_users_order_synthetic_items(orders: Orders, groups: str) -> None:
    orders.priced(ITEM)
    orders.priced("MUG")

    assert orders.place([line(ITEM)], groups=groups).status == 202
    (envelope,) = orders.table.envelopes(OrderPlaced)
    assert envelope.synthetic is True
    assert orders.table.one("order")[SYNTHETIC] is True


@pytest.mark.parametrize(
    ("groups", "sku"),
    [("", ITEM), ("[synthetics]", ITEM), ("[others]", ITEM), ("[synthetic]", "MUG")],
)
def test_customers_get_no_synthetic_items_and_test_users_no_others(
    orders: Orders, groups: str, sku: str
) -> None:
    """So nobody gets goods for nothing, and no test takes units from customers."""
    orders.priced(sku)

    answer = orders.place([line(sku)], groups=groups)

    assert (answer.status, answer.json["code"]) == (422, "unknown_item")
    assert orders.table.published() == []


def test_the_metrics_of_customers_orders_leave_out_synthetic_orders(
    orders: Orders, capsys: pytest.CaptureFixture[str]
) -> None:
    run(due())
    orders.reject()
    assert not {"OrdersPlaced", "OrdersRejected"} & metrics(capsys).keys()
