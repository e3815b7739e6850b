"""Stripe as provider: each call looks first, so that nothing happens twice, however late."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from cdk_rehearsal import Response
from lambdas.eventing import https, telemetry
from lambdas.eventing.misconfiguration import Misconfigured
from lambdas.payments import stripe_provider
from lambdas.payments.provider import (
    AuthenticationRequired,
    Declined,
    NoLongerHeld,
    Settlement,
    Unavailable,
)
from lambdas.payments.stripe_provider import HOLD, VERSION, StripeProvider
from tests.payments.stripe import KEY, Stripe

Call = Callable[[StripeProvider, str], object]
A_MONTH = timedelta(days=30)


@pytest.fixture
def stripe(monkeypatch: pytest.MonkeyPatch) -> Stripe:
    """Stripe's host with an empty ledger."""
    monkeypatch.setattr(stripe_provider, "secret", lambda arn: {"arn:key": f"{KEY}\n"}[arn])
    monkeypatch.setattr(telemetry, "count", lambda _: None)
    return Stripe.open(monkeypatch)


@pytest.fixture
def provider() -> StripeProvider:
    """The client."""
    return StripeProvider("arn:key")


def opened(provider: StripeProvider, *, amount: int = 2500) -> str:
    return provider.open("order-1", amount_minor=amount, currency="EUR")


def authorized(provider: StripeProvider, token: str = "tok_approve") -> str:
    payment_id = opened(provider)
    provider.authorize(payment_id, token=token)
    return payment_id


def captured(provider: StripeProvider) -> str:
    payment_id = authorized(provider)
    provider.capture(payment_id)
    return payment_id


def declined(provider: StripeProvider) -> str:
    payment_id = opened(provider)
    with pytest.raises(Declined, match="generic_decline"):
        provider.authorize(payment_id, token="tok_decline")
    return payment_id


def authorize(provider: StripeProvider, payment_id: str) -> object:
    return provider.authorize(payment_id, token="tok_approve")


def test_a_payment_is_opened_without_money_and_then_held_for_seven_days(
    stripe: Stripe, provider: StripeProvider
) -> None:
    payment_id = opened(provider)
    intent = stripe.host.intents[payment_id]
    assert (intent.status, intent.amount, intent.currency) == (
        "requires_payment_method",
        2500,
        "eur",
    )
    assert provider.order_of(payment_id) == "order-1"
    until = provider.authorize(payment_id, token="tok_approve")
    assert intent.status == "requires_capture"
    assert abs(until - datetime.now(UTC) - HOLD) < timedelta(seconds=2)


def test_each_request_has_the_secret_key_and_the_pinned_version_and_each_change_a_key_of_its_own(
    stripe: Stripe, provider: StripeProvider
) -> None:
    payment_id = authorized(provider)
    provider.capture(payment_id)
    provider.release(payment_id)
    for request in stripe.requests:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["stripe-version"] == VERSION
    changes = [request for request in stripe.requests if request.method == "POST"]
    keys = [request.headers["idempotency-key"] for request in changes]
    assert len(keys) == len(set(keys)) == 4
    assert stripe.host.without_key == []


@pytest.mark.parametrize(
    ("token", "sent"),
    [
        ("tok_1", "payment_method_data%5Bcard%5D%5Btoken%5D=tok_1"),
        ("pm_1", "payment_method=pm_1"),
        ("ctoken_1", "confirmation_token=ctoken_1"),
    ],
)
def test_the_browsers_token_is_sent_as_what_it_is(
    stripe: Stripe, provider: StripeProvider, token: str, sent: str
) -> None:
    payment_id = opened(provider)
    with pytest.raises(Declined):
        provider.authorize(payment_id, token=token)
    assert sent in stripe.requests[-1].body.decode()
    assert "error_on_requires_action=true" in stripe.requests[-1].body.decode()


@pytest.mark.parametrize("later", [timedelta(), A_MONTH])
def test_a_captured_payment_stays_so_however_late_a_call_is_repeated(
    stripe: Stripe, provider: StripeProvider, later: timedelta
) -> None:
    payment_id = authorized(provider)
    provider.capture(payment_id)
    with time_machine.travel(datetime.now(UTC) + later, tick=False):
        provider.capture(payment_id)
        authorize(provider, payment_id)
    assert stripe.host.calls["capture"] == stripe.host.calls["confirm"] == 1
    assert stripe.host.intents[payment_id].refunded == 0


@pytest.mark.parametrize("later", [timedelta(), A_MONTH])
@pytest.mark.parametrize(
    ("prepare", "settlement"),
    [
        (opened, Settlement.NOTHING),
        (authorized, Settlement.RELEASED),
        (captured, Settlement.REFUNDED),
        (declined, Settlement.NOTHING),
    ],
)
def test_a_release_says_what_became_of_the_money_also_when_it_is_repeated(
    stripe: Stripe,
    provider: StripeProvider,
    prepare: Callable[[StripeProvider], str],
    settlement: Settlement,
    later: timedelta,
) -> None:
    payment_id = prepare(provider)
    assert provider.release(payment_id) is settlement
    with time_machine.travel(datetime.now(UTC) + later, tick=False):
        assert provider.release(payment_id) is settlement
    assert stripe.host.calls["cancel"] + stripe.host.calls["refund"] == 1


def test_a_release_says_what_an_authorization_held_that_came_within_it(
    stripe: Stripe, provider: StripeProvider
) -> None:
    payment_id = opened(provider)
    stripe.meanwhile["cancel"] = lambda: authorize(provider, payment_id)
    assert provider.release(payment_id) is Settlement.RELEASED
    assert stripe.host.intents[payment_id].held
    assert provider.release(payment_id) is Settlement.RELEASED


def test_a_release_refunds_what_a_capture_took_that_came_within_it(
    stripe: Stripe, provider: StripeProvider
) -> None:
    payment_id = authorized(provider)
    stripe.meanwhile["cancel"] = lambda: provider.capture(payment_id)
    with pytest.raises(Unavailable):
        provider.release(payment_id)
    assert provider.release(payment_id) is Settlement.REFUNDED
    assert stripe.host.intents[payment_id].refunded == 2500


def test_a_release_refunds_what_is_left(stripe: Stripe, provider: StripeProvider) -> None:
    payment_id = captured(provider)
    stripe.host.refund("order-1", 1000)
    assert provider.release(payment_id) is Settlement.REFUNDED
    assert stripe.host.intents[payment_id].refunded == 2500


def test_a_released_payment_can_be_neither_held_nor_captured(
    stripe: Stripe, provider: StripeProvider
) -> None:
    payment_id = authorized(provider)
    provider.release(payment_id)
    with pytest.raises(NoLongerHeld):
        provider.capture(payment_id)
    with pytest.raises(Declined):
        authorize(provider, payment_id)


def test_an_authorization_that_stripe_ended_cannot_be_captured(
    stripe: Stripe, provider: StripeProvider
) -> None:
    payment_id = authorized(provider)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=8), tick=False):
        with pytest.raises(NoLongerHeld, match="canceled"):
            provider.capture(payment_id)
        assert provider.release(payment_id) is Settlement.RELEASED


def test_a_payment_that_another_system_opened_has_no_order(
    stripe: Stripe, provider: StripeProvider
) -> None:
    payment_id = opened(provider)
    stripe.host.intents[payment_id].document = lambda **_: {  # type: ignore[method-assign]
        "id": payment_id,
        "status": "succeeded",
        "created": 1,
        "metadata": {},
    }
    assert provider.order_of(payment_id) is None


CALLS: dict[str, tuple[Callable[[StripeProvider], str], Call]] = {
    "confirm": (opened, authorize),
    "capture": (authorized, lambda provider, payment: provider.capture(payment)),
    "cancel": (authorized, lambda provider, payment: provider.release(payment)),
    "refund": (captured, lambda provider, payment: provider.release(payment)),
}
"""For each change: what happened before, and the call that leads to it."""


def no_effect(status: int, error: dict[str, Any]) -> Callable[[Callable[[], Response]], Response]:
    return lambda _: (status, {}, json.dumps({"error": error}))


def lost(answer: Callable[[], Response]) -> Response:
    answer()
    raise https.NoAnswer("ReadTimeoutError")


def never_sent(_: Callable[[], Response]) -> Response:
    raise https.NoAnswer("ConnectTimeoutError")


def garbled(answer: Callable[[], Response]) -> Response:
    answer()
    return 200, {}, '{"id": "pi_0'


def failed_after(answer: Callable[[], Response]) -> Response:
    answer()
    return 500, {}, '{"error": {"type": "api_error"}}'


PASSING = {
    "lost": lost,
    "never sent": never_sent,
    "garbled": garbled,
    "500 after the effect": failed_after,
    "500": no_effect(500, {"type": "api_error"}),
    "503 without a body": lambda _: (503, {}, ""),
    "429": lambda _: (429, {"retry-after": "2"}, '{"error": {"type": "rate_limit_error"}}'),
    "409": no_effect(409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}),
    "another call": no_effect(400, {"code": "payment_intent_unexpected_state"}),
}


@pytest.mark.parametrize("later", [timedelta(), A_MONTH])
@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("operation", CALLS)
def test_after_a_passing_failure_a_repetition_has_the_effect_once(
    stripe: Stripe, provider: StripeProvider, operation: str, fault: str, later: timedelta
) -> None:
    prepare, call = CALLS[operation]
    payment_id = prepare(provider)
    stripe.host.fail(operation, PASSING[fault])
    with pytest.raises(Unavailable):
        call(provider, payment_id)
    intent = stripe.host.intents[payment_id]
    with time_machine.travel(datetime.now(UTC) + later, tick=False):
        if later and intent.held and not intent.captured and operation != "cancel":
            # Stripe has released the amount by now: the end is clear, and no money moves.
            with pytest.raises((NoLongerHeld, Declined)):
                call(provider, payment_id)
            return
        call(provider, payment_id)
    ends = {
        "confirm": intent.held and not intent.captured,
        "capture": intent.captured and not intent.refunded,
        "cancel": not intent.captured and intent.status == "canceled",
        "refund": intent.captured and intent.refunded == 2500,
    }
    assert ends[operation]
    assert len(stripe.host.intents) == 1


@pytest.mark.parametrize("fault", PASSING)
def test_a_payment_that_was_opened_twice_is_held_once(
    stripe: Stripe, provider: StripeProvider, fault: str
) -> None:
    stripe.host.fail("open", PASSING[fault])
    with pytest.raises(Unavailable):
        opened(provider)
    with time_machine.travel(datetime.now(UTC) + A_MONTH, tick=False):
        authorized(provider)
    assert [intent.held for intent in stripe.host.intents.values()].count(True) == 1


REFUSALS: list[tuple[int, dict[str, Any], type[Exception]]] = [
    (402, {"type": "card_error", "code": "card_declined"}, Declined),
    (402, {"type": "card_error", "code": "authentication_required"}, AuthenticationRequired),
    (
        402,
        {
            "type": "card_error",
            "code": "card_declined",
            "decline_code": "authentication_required",
        },
        AuthenticationRequired,
    ),
    (400, {"type": "invalid_request_error", "code": "token_already_used"}, Declined),
    (
        400,
        {
            "type": "invalid_request_error",
            "code": "resource_missing",
            "param": "payment_method_data[card][token]",
        },
        Declined,
    ),
    (401, {"type": "invalid_request_error"}, Misconfigured),
    (403, {"type": "invalid_request_error"}, Misconfigured),
    (400, {"type": "invalid_request_error", "code": "parameter_unknown"}, Misconfigured),
    (400, {"type": "idempotency_error"}, Misconfigured),
    (404, {"type": "invalid_request_error", "code": "resource_missing"}, Misconfigured),
]


@pytest.mark.parametrize(("status", "error", "raised"), REFUSALS)
def test_documented_errors_are_final_or_need_an_operator(
    stripe: Stripe,
    provider: StripeProvider,
    status: int,
    error: dict[str, Any],
    raised: type[Exception],
) -> None:
    payment_id = opened(provider)
    stripe.host.fail("confirm", no_effect(status, {**error, "message": "of Ada, card 4242"}))
    with pytest.raises(raised) as found:
        authorize(provider, payment_id)
    assert type(found.value) is raised
    assert "Ada" not in str(found.value)
    assert KEY not in str(found.value)


@pytest.mark.parametrize("body", ["", "<html>", '{"error": 5}', "[]"])
def test_a_refusal_that_cannot_be_read_needs_an_operator(
    stripe: Stripe, provider: StripeProvider, body: str
) -> None:
    payment_id = opened(provider)
    stripe.host.fail("confirm", lambda _: (400, {}, body))
    with pytest.raises(Misconfigured, match="400 unknown"):
        authorize(provider, payment_id)


@pytest.mark.parametrize("amount", [1, 49, 100_000_000])
def test_an_amount_that_stripe_does_not_accept_is_declined(
    stripe: Stripe, provider: StripeProvider, amount: int
) -> None:
    with pytest.raises(Declined, match="amount_too"):
        opened(provider, amount=amount)


def test_a_wrong_key_needs_an_operator(
    stripe: Stripe, provider: StripeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_provider, "secret", lambda _: "generated, not entered yet")
    with pytest.raises(Misconfigured, match="correct Stripe's secret key"):
        opened(provider)


@pytest.mark.parametrize("flag", ["error_on_requires_action", "ignored_by_stripe"])
def test_a_payment_that_needs_authentication_is_declined_and_then_closed(
    stripe: Stripe, provider: StripeProvider, flag: str
) -> None:
    """The second case: Stripe answers with the status `requires_action` instead of an error."""
    payment_id = opened(provider)
    intent = stripe.host.intents[payment_id]
    if flag == "ignored_by_stripe":
        form = {"payment_method": "pm_card_authenticationRequired"}
        stripe.call("POST", f"/v1/payment_intents/{payment_id}/confirm", form)
        assert intent.status == "requires_action"
    for _ in range(2):
        with pytest.raises(AuthenticationRequired):
            provider.authorize(payment_id, token="pm_card_authenticationRequired")
    assert not intent.held
    assert provider.release(payment_id) is Settlement.NOTHING
    assert intent.status == "canceled"
    with pytest.raises(Declined):
        authorize(provider, payment_id)


def test_a_refund_that_fails_is_not_taken_for_done(
    stripe: Stripe, provider: StripeProvider
) -> None:
    payment_id = captured(provider)
    stripe.host.fail("refund", lambda _: (200, {}, '{"id": "re_1", "status": "failed"}'))
    with pytest.raises(Unavailable, match="re_1 is failed"):
        provider.release(payment_id)


def test_no_operation_takes_longer_than_stated(
    stripe: Stripe, provider: StripeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []
    begin = https.Deadline.__init__

    def limited(deadline: https.Deadline, seconds: float) -> None:
        limits.append(seconds)
        begin(deadline, seconds)

    monkeypatch.setattr(https.Deadline, "__init__", limited)

    def took(operation: Callable[[], Any]) -> tuple[float, Any]:
        limits.clear()
        result = operation()
        return sum(limits), result

    measured: dict[str, float] = {}
    measured["open"], payment_id = took(lambda: opened(provider))
    measured["authorize"], _ = took(lambda: authorize(provider, payment_id))
    measured["capture"], _ = took(lambda: provider.capture(payment_id))
    measured["order_of"], _ = took(lambda: provider.order_of(payment_id))
    measured["release"], _ = took(lambda: provider.release(payment_id))
    assert measured == stripe_provider.LONGEST_S
