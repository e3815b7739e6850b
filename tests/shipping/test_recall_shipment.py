"""Recalls: a cancelled order is recalled or was delivered, and shop and carrier agree."""

from collections.abc import Callable

import pytest

from lambdas.shipping.carrier import Unavailable
from lambdas.shipping.events import ShipmentRecalled
from lambdas.shipping.sandbox_carrier import SandboxCarrier
from tests.shipping.context import Shipping, later
from tests.support.cloud import Cloud, Commits, Crash, crash


@pytest.mark.parametrize("reports", [[], ["picked_up"]])
def test_a_cancelled_order_is_recalled(shipping: Shipping, reports: list[str]) -> None:
    shipping.confirm()
    for kind in reports:
        shipping.report(kind)
    assert shipping.cancel()
    assert shipping.state() == shipping.parcel()["status"] == "recalled"
    assert shipping.published()[-1] == "ShipmentRecalled"
    assert shipping.event(ShipmentRecalled).picked_up is bool(reports)


def test_recalling_twice_has_the_same_effect_as_once(shipping: Shipping) -> None:
    shipping.confirm()
    assert shipping.cancel()
    assert shipping.cancel()
    assert shipping.published() == ["ShipmentRequested", "ShipmentRecalled"]


def test_a_cancellation_that_overtakes_the_confirmation_prevents_the_request(
    shipping: Shipping,
) -> None:
    assert shipping.cancel()
    assert shipping.confirm()
    assert shipping.cancel()
    assert shipping.state() == "recalled"
    assert shipping.carrier_table.items() == []
    assert shipping.schedules() == []
    assert shipping.published() == ["ShipmentRecalled"]


def test_the_recall_of_an_unconfirmed_order_publishes_nothing(
    shipping: Shipping,
) -> None:
    assert shipping.cancel(confirmed=False)
    assert shipping.state() == "recalled"
    assert shipping.published() == []


def test_a_delivered_parcel_is_not_recalled(
    shipping: Shipping, capsys: pytest.CaptureFixture[str]
) -> None:
    shipping.confirm()
    shipping.report("delivered")
    before = shipping.table.items()
    assert shipping.cancel()
    assert shipping.table.items() == before
    assert '"RecallsTooLate":[1.0]' in capsys.readouterr().out


@pytest.mark.parametrize("reports", [[], ["picked_up"]])
def test_a_recall_after_an_unreported_delivery_ends_as_delivered(
    shipping: Shipping, reports: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shipping.confirm()
    for kind in reports:
        shipping.report(kind)
    shipping.hand_over()
    assert shipping.cancel()
    assert shipping.state() == "delivered"
    assert '"RecallsTooLate":[1.0]' in capsys.readouterr().out
    assert shipping.report("delivered").status == 200
    assert shipping.published() == ["ShipmentRequested", "OrderShipped", "OrderDelivered"]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_after_a_crash_around_a_commit_the_next_delivery_completes_the_recall(
    shipping: Shipping, commits: Commits, moment: str, number: int
) -> None:
    shipping.confirm()
    getattr(commits, moment)(number, crash)
    with pytest.raises(Crash):
        shipping.cancel()
    assert shipping.cancel()
    assert shipping.state() == shipping.parcel()["status"] == "recalled"
    assert shipping.published() == ["ShipmentRequested", "ShipmentRecalled"]


def test_the_recall_is_stored_before_the_carrier_is_called(
    shipping: Shipping, commits: Commits
) -> None:
    shipping.confirm()
    commits.after(1, crash)
    with pytest.raises(Crash):
        shipping.cancel()
    assert shipping.state() == "recalling"
    assert shipping.parcel()["status"] == "accepted"


def test_an_unavailable_carrier_is_called_again(shipping: Shipping, cloud: Cloud) -> None:
    def refuse(*_: object) -> bool:
        raise Unavailable

    shipping.confirm()
    with cloud.monkeypatch.context() as patch:
        patch.setattr(SandboxCarrier, "recall", refuse)
        assert not shipping.cancel()
    assert shipping.state() == "recalling"
    assert shipping.cancel()
    assert shipping.published() == ["ShipmentRequested", "ShipmentRecalled"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_concurrent_request_is_recalled(
    shipping: Shipping, commits: Commits, number: int
) -> None:
    commits.before(number, shipping.cancel)
    assert shipping.confirm()
    assert shipping.state() == "recalled"
    assert shipping.parcel().get("status", "recalled") == "recalled"
    # The carrier may have accepted the parcel, but the shop had not published that yet.
    assert shipping.published() == ["ShipmentRecalled"]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("meets", [Shipping.cancel, Shipping.confirm])
def test_a_recall_with_another_concurrent_step_ends_recalled(
    shipping: Shipping, commits: Commits, meets: Callable[[Shipping], bool], number: int
) -> None:
    shipping.confirm()
    commits.before(number, lambda: meets(shipping))
    assert shipping.cancel()
    assert shipping.state() == shipping.parcel()["status"] == "recalled"
    assert shipping.published() == ["ShipmentRequested", "ShipmentRecalled"]


def test_a_concurrent_pickup_does_not_stop_a_recall(shipping: Shipping, commits: Commits) -> None:
    shipping.confirm()
    commits.before(1, lambda: shipping.report("picked_up"))
    assert shipping.cancel()
    assert shipping.state() == "recalled"
    assert shipping.published() == ["ShipmentRequested", "OrderShipped", "ShipmentRecalled"]


def test_a_concurrent_delivery_takes_precedence_over_a_recall(
    shipping: Shipping, commits: Commits
) -> None:
    shipping.confirm()
    commits.before(1, lambda: shipping.report("delivered"))
    assert shipping.cancel()
    assert shipping.state() == "delivered"
    assert "ShipmentRecalled" not in shipping.published()


def test_shipments_that_an_earlier_release_stored_go_on(shipping: Shipping) -> None:
    shipping.confirm()
    shipping.table.as_stored_earlier("shipment", "order_id")
    shipping.report("picked_up")
    shipping.table.as_stored_earlier("shipment", "order_id")
    assert shipping.cancel()
    assert shipping.state() == shipping.parcel()["status"] == "recalled"
    assert shipping.published() == ["ShipmentRequested", "OrderShipped", "ShipmentRecalled"]


def test_an_overdue_parcel_can_be_recalled(shipping: Shipping) -> None:
    shipping.confirm()
    with later():
        shipping.remind()
        assert shipping.cancel()
    assert shipping.published() == ["ShipmentRequested", "ShipmentOverdue", "ShipmentRecalled"]


def test_a_callback_about_an_order_without_a_request_changes_nothing(
    shipping: Shipping,
) -> None:
    shipping.cancel()
    before = shipping.table.items()
    assert shipping.report("delivered").status == 200
    assert shipping.table.items() == before
