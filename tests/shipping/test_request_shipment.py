"""Requests: shop, carrier and reminder agree about each parcel, despite faults."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from lambdas.eventing import aws
from lambdas.eventing.transaction import ConditionFailed, Transaction
from lambdas.orders.events import OrderConfirmedV1
from lambdas.shipping.carrier import Undeliverable
from lambdas.shipping.events import ShipmentRequested
from lambdas.shipping.sandbox_carrier import SandboxCarrier
from tests.shipping.context import HOURS, REQUESTS, Shipping, later
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.messages import enveloped
from tests.support.orders import ADDRESS, confirmed, line


def assert_requested_once(shipping: Shipping) -> None:
    """Asserts that shop, carrier and reminder agree, and that one event was published."""
    assert shipping.state() == "requested"
    assert shipping.shipment()["tracking_id"] == shipping.parcel()["tracking_id"]
    assert shipping.published() == ["ShipmentRequested"]
    assert shipping.schedules() == ["shipment-order-1"]
    assert len(shipping.carrier_table.items()) == 1


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


def test_no_personal_data_is_stored(shipping: Shipping) -> None:
    shipping.confirm()
    stored = str([*shipping.table.items(), *shipping.carrier_table.items()])
    assert "Ada" not in stored
    assert "St James" not in stored
    assert "customer-1" not in stored


def test_an_order_whose_address_is_deleted_is_parked_for_a_decision(shipping: Shipping) -> None:
    shipping.confirm(deposit=False)
    assert shipping.state() == "requesting"
    assert shipping.parcel() == {}
    (message,) = shipping.parking.messages()
    reason = message["MessageAttributes"]["Reason"]["StringValue"]
    assert "the address of order order-1 is deleted: cancel the order" in reason
    assert shipping.cancel()
    assert shipping.state() == "recalled"


def test_a_repeated_event_needs_no_address_once_the_parcel_is_requested(shipping: Shipping) -> None:
    shipping.confirm()
    shipping.vault.clear()
    assert shipping.confirm(deposit=False)
    assert_requested_once(shipping)
    assert shipping.parking.messages() == []


def test_an_event_from_before_the_vault_has_its_address_with_it(shipping: Shipping) -> None:
    order = confirmed(line(quantity=3))
    event = OrderConfirmedV1(**msgspec.structs.asdict(order), shipping_address=ADDRESS)
    shipping.confirmed["order-1"] = enveloped(event)
    assert shipping.confirm(deposit=False)
    assert_requested_once(shipping)


def test_the_reminder_is_scheduled_for_the_deadline(shipping: Shipping) -> None:
    shipping.confirm()
    schedule = shipping.schedule()
    due_at = shipping.event(ShipmentRequested).due_at
    assert schedule["ScheduleExpression"] == f"at({due_at:%Y-%m-%dT%H:%M:%S})"
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert schedule["ActionAfterCompletion"] == "DELETE"
    detail = json.loads(schedule["Target"]["Input"])["detail"]
    assert detail["type"] == "ShipmentDue.v1"
    assert detail["correlationid"] == "correlation-of-order-1"


def test_the_reminder_has_a_queue_limited_retries_and_a_dead_letter_queue(
    shipping: Shipping,
) -> None:
    shipping.confirm()
    target = shipping.schedule()["Target"]
    assert target["Arn"] == REQUESTS.reminder_queue_arn
    assert target["RoleArn"] == REQUESTS.schedule_role_arn
    assert target["DeadLetterConfig"] == {"Arn": REQUESTS.reminder_parking_arn}
    assert target["RetryPolicy"] == {
        "MaximumRetryAttempts": 185,
        "MaximumEventAgeInSeconds": 86_400,
    }


def test_a_redelivered_confirmation_requests_nothing(shipping: Shipping) -> None:
    assert shipping.confirm()
    assert shipping.confirm()
    assert_requested_once(shipping)
    assert shipping.parcel()["attempts"] == 1


def test_each_order_has_its_own_parcel_and_reminder(shipping: Shipping) -> None:
    shipping.confirm("order-1")
    shipping.confirm("order-2")
    assert sorted(shipping.schedules()) == ["shipment-order-1", "shipment-order-2"]
    first, second = (shipping.shipment(order)["tracking_id"] for order in ("order-1", "order-2"))
    assert first != second


def test_an_unavailable_carrier_is_called_again(shipping: Shipping) -> None:
    for _ in range(2):
        assert not shipping.confirm(postal_code="FLAKY-2")
        assert shipping.state() == "requesting"
        assert shipping.published() == []
        assert shipping.schedules() == []
    assert shipping.confirm()
    assert_requested_once(shipping)
    assert shipping.parcel()["attempts"] == 3


def test_the_request_is_stored_before_the_carrier_is_called(
    shipping: Shipping, commits: Commits
) -> None:
    commits.after(1, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    assert shipping.state() == "requesting"
    assert shipping.carrier_table.items() == []


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_after_a_crash_around_a_commit_the_next_delivery_completes_the_request(
    shipping: Shipping, commits: Commits, moment: str, number: int
) -> None:
    getattr(commits, moment)(number, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    assert shipping.confirm()
    assert_requested_once(shipping)


@pytest.mark.parametrize("reached", [False, True])
def test_after_a_crash_around_the_schedule_the_next_delivery_completes_the_request(
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


@pytest.mark.parametrize("number", [1, 2, 3])
def test_two_concurrent_deliveries_request_once(
    shipping: Shipping, commits: Commits, number: int
) -> None:
    commits.before(number, shipping.confirm)
    assert shipping.confirm()
    assert_requested_once(shipping)


def test_a_request_resumed_late_keeps_its_deadline_and_reminds_at_once(
    shipping: Shipping, commits: Commits
) -> None:
    commits.after(1, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    with later():
        assert shipping.confirm()
        due_at = shipping.event(ShipmentRequested).due_at
        at = shipping.schedule()["ScheduleExpression"]
        # EventBridge Scheduler rejects a time in the past.
        assert due_at < datetime.now(UTC)
        assert datetime.fromisoformat(at[3:-1] + "Z") > datetime.now(UTC)
        assert shipping.remind()
    assert sorted(shipping.published()) == ["ShipmentOverdue", "ShipmentRequested"]


def test_a_stored_deadline_does_not_change_with_the_setting(
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


def test_if_the_schedule_cannot_be_created_the_request_stays_open(
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


@pytest.mark.parametrize("dies", [False, True])
def test_a_label_that_is_bought_after_its_recall_is_refunded(
    shipping: Shipping, cloud: Cloud, dies: bool
) -> None:
    buy = SandboxCarrier.buy

    def late(carrier: SandboxCarrier, parcel_id: str) -> str:
        cloud.monkeypatch.setattr(SandboxCarrier, "buy", buy)
        assert shipping.cancel()
        tracking_id = buy(carrier, parcel_id)
        if dies:
            raise Crash
        return tracking_id

    cloud.monkeypatch.setattr(SandboxCarrier, "buy", late)
    if dies:
        with pytest.raises(Crash):
            shipping.confirm()
        assert (shipping.state(), shipping.parcel()["status"]) == ("recalled", "accepted")
    assert shipping.confirm()
    assert shipping.state() == "recalled"
    assert shipping.parcel()["status"] == "recalled"
    assert shipping.published() == ["ShipmentRecalled"]


def test_the_carriers_id_is_stored_before_the_label_is_bought(
    shipping: Shipping, commits: Commits
) -> None:
    commits.after(2, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    assert shipping.shipment()["parcel_id"] == "order-1"
    assert "tracking_id" not in shipping.parcel()


def test_an_address_that_the_carrier_rejects_parks_the_order(
    shipping: Shipping, cloud: Cloud
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise Undeliverable("ADDRESS.COUNTRY.INVALID")

    cloud.monkeypatch.setattr(SandboxCarrier, "open", refuse)
    assert shipping.confirm()
    (message,) = shipping.parking.messages()
    assert "ADDRESS.COUNTRY.INVALID" in str(message)
    assert shipping.state() == "requesting"


def test_if_a_shipment_keeps_changing_the_event_is_redelivered(
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
