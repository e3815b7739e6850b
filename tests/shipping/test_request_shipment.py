"""Requests: shop, carrier and reminder agree about each parcel, whatever happens in between."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from lambdas.eventing import aws
from lambdas.eventing.transaction import ConditionFailed, Transaction
from lambdas.shipping.events import ShipmentRequested
from lambdas.shipping.sandbox_carrier import SandboxCarrier
from tests.shipping.context import HOURS, SETTINGS, Shipping, later
from tests.support.cloud import Cloud, Commits, Crash, crash


def assert_requested_once(shipping: Shipping) -> None:
    """The three of them agree, and the world was told once."""
    assert shipping.state() == "requested"
    assert shipping.shipment()["tracking_id"] == shipping.parcel()["tracking_id"]
    assert shipping.told() == ["ShipmentRequested"]
    assert shipping.schedules() == ["shipment-order-1"]
    assert len(shipping.book.items()) == 1


def test_a_confirmed_order_is_requested_from_the_carrier(shipping: Shipping) -> None:
    assert shipping.confirm()
    assert_requested_once(shipping)
    assert shipping.parcel()["units"] == 3
    due_at = shipping.confirmed["order-1"].time + timedelta(hours=HOURS)
    assert shipping.event(ShipmentRequested) == ShipmentRequested(
        order_id="order-1",
        tracking_id=shipping.parcel()["tracking_id"],
        due_at=due_at.replace(microsecond=0),
    )


def test_the_event_is_caused_by_the_confirmed_order(shipping: Shipping) -> None:
    shipping.confirm()
    (envelope,) = shipping.table.envelopes()
    assert envelope.causationid == shipping.confirmed["order-1"].id
    assert envelope.correlationid == "correlation-of-order-1"


def test_nothing_of_the_customer_is_stored(shipping: Shipping) -> None:
    shipping.confirm()
    stored = str([*shipping.table.items(), *shipping.book.items()])
    assert "Ada" not in stored
    assert "St James" not in stored
    assert "customer-1" not in stored


def test_the_reminder_comes_when_the_parcel_is_due(shipping: Shipping) -> None:
    shipping.confirm()
    schedule = shipping.schedule()
    due_at = shipping.event(ShipmentRequested).due_at
    assert schedule["ScheduleExpression"] == f"at({due_at:%Y-%m-%dT%H:%M:%S})"
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert schedule["ActionAfterCompletion"] == "DELETE"
    detail = json.loads(schedule["Target"]["Input"])["detail"]
    assert detail["type"] == "ShipmentDue.v1"
    assert detail["correlationid"] == "correlation-of-order-1"


def test_the_reminder_has_a_way_bounds_and_a_place_to_wait(shipping: Shipping) -> None:
    shipping.confirm()
    target = shipping.schedule()["Target"]
    assert target["Arn"] == SETTINGS.reminder_queue_arn
    assert target["RoleArn"] == SETTINGS.schedule_role_arn
    assert target["DeadLetterConfig"] == {"Arn": SETTINGS.reminder_parking_arn}
    assert target["RetryPolicy"] == {
        "MaximumRetryAttempts": 185,
        "MaximumEventAgeInSeconds": 86_400,
    }


def test_the_same_order_again_requests_nothing(shipping: Shipping) -> None:
    assert shipping.confirm()
    assert shipping.confirm()
    assert_requested_once(shipping)
    assert shipping.parcel()["attempts"] == 1


def test_orders_are_shipped_each_for_itself(shipping: Shipping) -> None:
    shipping.confirm("order-1")
    shipping.confirm("order-2")
    assert sorted(shipping.schedules()) == ["shipment-order-1", "shipment-order-2"]
    first, second = (shipping.shipment(order)["tracking_id"] for order in ("order-1", "order-2"))
    assert first != second


def test_a_carrier_that_is_not_available_is_asked_again(shipping: Shipping) -> None:
    for _ in range(2):
        assert not shipping.confirm(postal_code="FLAKY-2")
        assert shipping.state() == "requesting"
        assert shipping.told() == []
        assert shipping.schedules() == []
    assert shipping.confirm()
    assert_requested_once(shipping)
    assert shipping.parcel()["attempts"] == 3


def test_the_intention_is_stored_before_the_carrier_is_asked(
    shipping: Shipping, commits: Commits
) -> None:
    commits.after(1, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    assert shipping.state() == "requesting"
    assert shipping.book.items() == []


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_a_commit_is_made_good_by_the_next_delivery(
    shipping: Shipping, commits: Commits, moment: str, number: int
) -> None:
    getattr(commits, moment)(number, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    assert shipping.confirm()
    assert_requested_once(shipping)


@pytest.mark.parametrize("reached", [False, True])
def test_a_crash_around_the_schedule_is_made_good_by_the_next_delivery(
    shipping: Shipping, cloud: Cloud, reached: bool
) -> None:
    create = aws.scheduler().create_schedule

    def die(**request: object) -> None:
        if reached:
            create(**request)  # type: ignore[arg-type]
        raise Crash

    with cloud.monkeypatch.context() as patch:
        patch.setattr(aws.scheduler(), "create_schedule", die)
        with pytest.raises(Crash):
            shipping.confirm()
    assert shipping.state() == "requesting"
    assert "tracking_id" in shipping.parcel()
    assert shipping.confirm()
    assert_requested_once(shipping)


@pytest.mark.parametrize("number", [1, 2])
def test_two_deliveries_at_the_same_time_request_once(
    shipping: Shipping, commits: Commits, number: int
) -> None:
    commits.before(number, shipping.confirm)
    assert shipping.confirm()
    assert_requested_once(shipping)


def test_a_request_that_is_resumed_late_is_due_as_promised_and_reminds_at_once(
    shipping: Shipping, commits: Commits
) -> None:
    commits.after(1, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    with later():
        assert shipping.confirm()
        due_at = shipping.event(ShipmentRequested).due_at
        at = shipping.schedule()["ScheduleExpression"]
        # A schedule in the past would be refused.
        assert due_at < datetime.now(UTC)
        assert datetime.fromisoformat(at[3:-1] + "Z") > datetime.now(UTC)
        assert shipping.remind()
    assert sorted(shipping.told()) == ["ShipmentOverdue", "ShipmentRequested"]


def test_a_promise_stays_as_it_was_begun_when_the_shop_changes_what_it_promises(
    shipping: Shipping, cloud: Cloud, commits: Commits
) -> None:
    commits.after(1, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    promised = shipping.shipment()["due_at"]
    cloud.configure({"DELIVERY_HOURS": "1"})
    assert shipping.confirm()
    due_at = shipping.event(ShipmentRequested).due_at
    assert shipping.shipment()["due_at"] == promised == f"{due_at:%Y-%m-%dT%H:%M:%SZ}"
    assert shipping.schedule()["ScheduleExpression"] == f"at({due_at:%Y-%m-%dT%H:%M:%S})"


def test_a_schedule_that_cannot_be_made_keeps_the_request_open(
    shipping: Shipping, cloud: Cloud
) -> None:
    def refuse(**_: object) -> None:
        raise aws.scheduler().exceptions.ThrottlingException(
            {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "CreateSchedule"
        )

    with cloud.monkeypatch.context() as patch:
        patch.setattr(aws.scheduler(), "create_schedule", refuse)
        assert not shipping.confirm()
    assert shipping.state() == "requesting"
    assert shipping.confirm()
    assert_requested_once(shipping)


def test_a_recall_that_reaches_the_carrier_first_leaves_no_parcel(
    shipping: Shipping, cloud: Cloud
) -> None:
    request = SandboxCarrier.request

    def late(carrier: SandboxCarrier, *args: object, **kwargs: object) -> str:
        cloud.monkeypatch.setattr(SandboxCarrier, "request", request)
        assert shipping.cancel()
        return request(carrier, *args, **kwargs)  # type: ignore[arg-type]

    cloud.monkeypatch.setattr(SandboxCarrier, "request", late)
    assert shipping.confirm()
    assert shipping.state() == "recalled"
    assert shipping.parcel()["status"] == "recalled"
    assert "tracking_id" not in shipping.parcel()
    assert shipping.told() == ["ShipmentRecalled"]


def test_a_shipment_that_keeps_changing_is_left_to_the_next_delivery(
    shipping: Shipping, cloud: Cloud
) -> None:
    def refuse(transaction: Transaction) -> None:
        raise ConditionFailed(["put"])

    shipping.confirm("order-2")
    with cloud.monkeypatch.context() as patch:
        patch.setattr(Transaction, "commit", refuse)
        assert not shipping.confirm("order-1")
        assert not shipping.cancel("order-2")
        with later():
            assert not shipping.remind("order-2")
    assert shipping.state("order-2") == "requested"
