"""Deadlines: an overdue parcel is reported once, and no other parcel is."""

import pytest

from lambdas.shipping import watch_deadline
from lambdas.shipping.events import ShipmentDue, ShipmentOverdue, ShipmentRequested
from tests.shipping.context import Shipping, later
from tests.support.cloud import Commits, Crash, crash
from tests.support.messages import CONTEXT, batch, enveloped, failed


def test_a_parcel_that_is_not_delivered_in_time_is_overdue(shipping: Shipping) -> None:
    shipping.confirm()
    with later():
        assert shipping.remind()
    assert shipping.shipment()["overdue"] is True
    assert shipping.state() == "requested"
    due_at = shipping.event(ShipmentRequested).due_at
    assert shipping.event(ShipmentOverdue) == ShipmentOverdue(order_id="order-1", due_at=due_at)


def test_a_shipped_parcel_can_be_overdue(shipping: Shipping) -> None:
    shipping.confirm()
    shipping.report("picked_up")
    with later():
        assert shipping.remind()
    assert shipping.published() == ["ShipmentRequested", "OrderShipped", "ShipmentOverdue"]


def test_the_event_has_the_correlation_id_of_its_order(shipping: Shipping) -> None:
    shipping.confirm()
    with later():
        shipping.remind()
    (envelope,) = shipping.table.envelopes(ShipmentOverdue)
    assert envelope.correlationid == "correlation-of-order-1"


def test_a_repeated_reminder_publishes_one_event(
    shipping: Shipping, capsys: pytest.CaptureFixture[str]
) -> None:
    shipping.confirm()
    with later():
        assert shipping.remind()
        assert shipping.remind()
    assert shipping.published() == ["ShipmentRequested", "ShipmentOverdue"]
    assert capsys.readouterr().out.count('"OverdueShipments":[1.0]') == 1


def test_an_early_reminder_is_delivered_again(shipping: Shipping) -> None:
    shipping.confirm()
    assert not shipping.remind()
    assert shipping.published() == ["ShipmentRequested"]
    with later():
        assert shipping.remind()
    assert shipping.published() == ["ShipmentRequested", "ShipmentOverdue"]


def test_a_very_late_reminder_does_not_report_a_delivered_parcel(shipping: Shipping) -> None:
    shipping.confirm()
    with later():
        shipping.report("delivered")
    with later(hours=1000):
        assert shipping.remind()
    assert "ShipmentOverdue" not in shipping.published()


def test_a_delivered_parcel_is_not_overdue(shipping: Shipping) -> None:
    shipping.confirm()
    shipping.report("delivered")
    with later():
        assert shipping.remind()
    assert shipping.shipment()["overdue"] is False
    assert "ShipmentOverdue" not in shipping.published()


def test_an_overdue_parcel_can_still_be_delivered(shipping: Shipping) -> None:
    shipping.confirm()
    with later():
        shipping.remind()
        assert shipping.report("delivered").status == 200
    assert shipping.state() == "delivered"
    assert shipping.shipment()["overdue"] is True
    assert shipping.published() == [
        "ShipmentRequested",
        "ShipmentOverdue",
        "OrderShipped",
        "OrderDelivered",
    ]


def test_a_recalled_parcel_is_not_overdue(shipping: Shipping) -> None:
    shipping.confirm()
    shipping.cancel()
    with later():
        assert shipping.remind()
    assert shipping.published() == ["ShipmentRequested", "ShipmentRecalled"]


def test_an_unfinished_request_can_be_overdue_and_still_complete(
    shipping: Shipping, commits: Commits
) -> None:
    commits.before(3, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    with later():
        assert shipping.remind()
        assert shipping.published() == ["ShipmentOverdue"]
        assert shipping.confirm()
    assert shipping.shipment()["overdue"] is True
    assert shipping.published() == ["ShipmentOverdue", "ShipmentRequested"]


def test_a_concurrent_delivery_prevents_the_overdue_event(
    shipping: Shipping, commits: Commits
) -> None:
    shipping.confirm()
    with later():
        commits.before(1, lambda: shipping.report("delivered"))
        assert shipping.remind()
    assert shipping.state() == "delivered"
    assert shipping.shipment()["overdue"] is False
    assert shipping.published() == ["ShipmentRequested", "OrderShipped", "OrderDelivered"]


def test_a_concurrent_reminder_precedes_the_delivery(shipping: Shipping, commits: Commits) -> None:
    shipping.confirm()
    with later():
        commits.before(1, shipping.remind)
        assert shipping.report("delivered").status == 200
    assert shipping.state() == "delivered"
    assert shipping.shipment()["overdue"] is True
    assert sorted(shipping.published()) == [
        "OrderDelivered",
        "OrderShipped",
        "ShipmentOverdue",
        "ShipmentRequested",
    ]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_after_a_crash_around_the_commit_the_next_delivery_reports_the_parcel(
    shipping: Shipping, commits: Commits, moment: str
) -> None:
    shipping.confirm()
    getattr(commits, moment)(1, crash)
    with later():
        with pytest.raises(Crash):
            shipping.remind()
        assert shipping.remind()
    assert shipping.published() == ["ShipmentRequested", "ShipmentOverdue"]


def test_a_reminder_of_an_unknown_shipment_is_delivered_again(shipping: Shipping) -> None:
    shipping.confirm()
    due_at = shipping.event(ShipmentRequested).due_at
    stray = enveloped(ShipmentDue(order_id="order-9", due_at=due_at))
    with later():
        assert failed(watch_deadline.handler(batch(stray), CONTEXT)) == ["m1"]
