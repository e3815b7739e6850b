"""The provider's events: signed, taken once, and about payments of this shop."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.eventing import aws, telemetry
from lambdas.eventing.callback import CallbackSettings
from lambdas.eventing.signature import STRIPE, TOLERANCE_S, sign
from lambdas.payments import take_provider_event
from lambdas.payments.events import (
    AuthorizationExpiring,
    DisputeClosed,
    PaymentDisputed,
    PaymentRefunded,
    RefundFailed,
    RefundNoticed,
)
from lambdas.payments.provider import Unavailable
from lambdas.payments.sandbox_provider import SandboxProvider
from tests.payments.context import SETTINGS, Payments
from tests.support.cloud import Cloud
from tests.support.messages import Call

SECRET = "whsec_1"
DISPUTE = {"id": "du_1", "payment_intent": "order-1", "amount": 2500, "status": "needs_response"}
CHARGE = {"id": "ch_1", "payment_intent": "order-1", "captured": True}
REFUND = {"id": "re_1", "payment_intent": "order-1", "amount": 2500, "status": "failed"}
INTENT = {"id": "order-1", "status": "canceled"}


@pytest.fixture(autouse=True)
def captured(payments: Payments, cloud: Cloud) -> None:
    """An order is paid and shipped."""
    secret = aws.secrets().create_secret(Name="provider", SecretString=SECRET)
    cloud.configure(
        {
            **SETTINGS.as_environment(),
            **CallbackSettings(callback_secret_arn=secret["ARN"]).as_environment(),
            "DEAD_LETTER_QUEUE_URL": payments.parking.url,
        }
    )
    payments.order("tok_approve", total=2500)
    payments.authorize()
    payments.ship()


def event(type_: str, subject: Mapping[str, Any], event_id: str = "evt_1") -> str:
    return json.dumps({"id": event_id, "type": type_, "data": {"object": subject}, "more": 1})


def send(
    body: str, *, secret: str = SECRET, age: timedelta = timedelta(), header: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Sends an event as the gateway does. Returns the status and the body."""
    signature = sign(secret, body.encode(), at=datetime.now(UTC) - age)
    headers = {STRIPE.header: f"{signature},v0={'0' * 64}" if header is None else header}
    call = Call(route="POST /payments/events", body=body, headers=headers)
    answer = call.send(take_provider_event.handler)
    return answer.status, answer.json


def test_a_dispute_is_taken_once(payments: Payments) -> None:
    body = event("charge.dispute.created", DISPUTE)
    assert send(body) == send(body) == (200, {"event_id": "evt_1"})
    assert payments.events(PaymentDisputed) == [
        PaymentDisputed(
            order_id="order-1",
            amount_minor=2500,
            currency="EUR",
            dispute_id="du_1",
            disputed_minor=2500,
        )
    ]


@pytest.mark.parametrize(
    ("status", "won"),
    [("won", True), ("lost", False), ("warning_closed", True), ("prevented", True)],
)
def test_the_end_of_a_dispute_is_taken(payments: Payments, status: str, won: bool) -> None:
    send(event("charge.dispute.created", DISPUTE))
    send(event("charge.dispute.closed", {**DISPUTE, "status": status}, "evt_2"))
    (closed,) = payments.events(DisputeClosed)
    assert isinstance(closed, DisputeClosed)
    assert closed.won is won
    assert payments.table.one("payment")["dispute_won"] is won


def test_a_late_repetition_does_not_open_a_closed_dispute_again(payments: Payments) -> None:
    created = event("charge.dispute.created", DISPUTE)
    send(created)
    send(event("charge.dispute.closed", {**DISPUTE, "status": "won"}, "evt_2"))
    assert send(created)[0] == 200
    assert payments.table.one("payment")["dispute_won"] is True


def test_a_refund_in_the_dashboard_is_noticed(payments: Payments) -> None:
    for number, amount in enumerate((500, 500, 2500)):
        charge = {**CHARGE, "amount_refunded": amount}
        assert send(event("charge.refunded", charge, f"evt_{number}"))[0] == 200
    noticed = {each.refunded_minor for each in payments.events(RefundNoticed)}  # type: ignore[attr-defined]
    assert noticed == {500, 2500}
    assert len(payments.events(RefundNoticed)) == 2
    assert payments.state() == "refunded"
    assert len(payments.events(PaymentRefunded)) == 1


@pytest.mark.parametrize(
    ("status", "first"), [("failed", "refund.failed"), ("canceled", "charge.refund.updated")]
)
def test_a_refund_that_fails_is_published_and_counted_once(
    payments: Payments, cloud: Cloud, status: str, first: str
) -> None:
    counted: list[str] = []
    cloud.monkeypatch.setattr(telemetry, "count", counted.append)
    payments.give_back()
    refund = {**REFUND, "status": status}
    for number, type_ in enumerate((first, "charge.refund.updated", "refund.failed")):
        assert send(event(type_, refund, f"evt_{number}"))[0] == 200
        assert payments.state() == "refund_failed"
    assert counted == ["FailedRefunds"]
    assert payments.events(RefundFailed) == [
        RefundFailed(
            order_id="order-1",
            amount_minor=2500,
            currency="EUR",
            refund_id="re_1",
            failed_minor=2500,
            failure=status,
        )
    ]


def test_a_refund_that_makes_progress_is_no_failure(payments: Payments) -> None:
    payments.give_back()
    assert send(event("charge.refund.updated", {**REFUND, "status": "succeeded"}))[0] == 200
    assert payments.state() == "refunded"
    assert payments.events(RefundFailed) == []


def test_the_shops_own_refund_is_not_noticed(payments: Payments) -> None:
    payments.give_back()
    send(event("charge.refunded", {**CHARGE, "amount_refunded": 2500}))
    assert payments.events(RefundNoticed) == []
    assert len(payments.events(PaymentRefunded)) == 1


def test_the_release_of_an_uncaptured_charge_is_no_refund(payments: Payments) -> None:
    charge = {**CHARGE, "captured": False, "amount_refunded": 2500}
    assert send(event("charge.refunded", charge))[0] == 200
    assert payments.events(RefundNoticed) == []


def test_a_payment_that_is_canceled_outside_ends_its_order(payments: Payments) -> None:
    payments.order("tok_approve", "order-2")
    payments.authorize("order-2")
    body = event("payment_intent.canceled", {**INTENT, "id": "order-2"})
    assert send(body) == send(body) == (200, {"event_id": "evt_1"})
    assert [each.order_id for each in payments.events(AuthorizationExpiring)] == ["order-2"]


@pytest.mark.parametrize(
    ("type_", "subject"),
    [
        ("payment_intent.succeeded", {"id": "order-1"}),
        ("charge.dispute.created", {**DISPUTE, "payment_intent": None}),
        ("charge.dispute.created", {**DISPUTE, "payment_intent": "of another system"}),
    ],
)
def test_an_event_that_does_not_concern_the_shop_is_accepted_and_changes_nothing(
    payments: Payments, type_: str, subject: Mapping[str, Any]
) -> None:
    before = payments.table.items()
    assert send(event(type_, subject)) == (200, {"event_id": "evt_1"})
    assert payments.table.items() == before


@pytest.mark.parametrize("header", ["", "t=1", "v1=0", None])
@pytest.mark.parametrize("age", [timedelta(), timedelta(seconds=TOLERANCE_S + 2)])
def test_a_forged_or_old_event_is_rejected_before_anything_else(
    payments: Payments, cloud: Cloud, header: str | None, age: timedelta
) -> None:
    def called(*_: object) -> None:
        pytest.fail("the provider was called")

    cloud.monkeypatch.setattr(SandboxProvider, "order_of", called)
    before = payments.table.items()
    secret = SECRET if age else "a guess"
    status, _ = send(
        event("charge.dispute.created", DISPUTE), secret=secret, age=age, header=header
    )
    assert status == 401
    assert payments.table.items() == before


def test_while_the_provider_does_not_answer_the_event_has_to_come_again(
    payments: Payments, cloud: Cloud
) -> None:
    def unavailable(*_: object) -> None:
        raise Unavailable("try again later")

    body = event("charge.dispute.created", DISPUTE)
    with cloud.monkeypatch.context() as patch:
        patch.setattr(SandboxProvider, "order_of", unavailable)
        assert send(body)[0] == 503
    assert send(body)[0] == 200
    assert len(payments.events(PaymentDisputed)) == 1


@pytest.mark.parametrize("body", ["", "{", "{}", event("charge.refunded", {"amount_refunded": -1})])
def test_a_signed_body_of_another_form_is_a_clear_error(body: str) -> None:
    status, problem = send(body)
    assert status == 400
    assert problem["type"] in {"urn:problem:invalid_json", "urn:problem:invalid_request"}
