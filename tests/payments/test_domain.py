"""The transitions of a payment: every state with every command, without a table."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.eventing.aggregate import Change
from lambdas.eventing.event import Event
from lambdas.payments.domain import NotAuthorized, Payment, PaymentRefused, State
from lambdas.payments.events import (
    AuthorizationExpiring,
    DeclineReason,
    DisputeClosed,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentDisputed,
    PaymentEvent,
    PaymentRefunded,
    PaymentReleased,
    PaymentUncollected,
    RefundFailed,
    RefundNoticed,
)
from lambdas.payments.provider import Settlement
from tests.support.orders import line, placed

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
UNTIL = NOW + timedelta(days=7)
ORDER = placed(line(price=2500))
COMMANDS: dict[str, Callable[[Payment], Any]] = {
    "check": Payment.check,
    "opened": lambda payment: payment.opened("pi_2"),
    "authorized": lambda payment: payment.authorized(UNTIL),
    "declined": lambda payment: payment.declined(DeclineReason.AUTHENTICATION_REQUIRED),
    "capture": Payment.capture,
    "captured": Payment.captured,
    "lost": Payment.lost,
    "expire": lambda payment: payment.expire(UNTIL),
    "release": lambda payment: payment.release("expired"),
    "nothing": lambda payment: payment.released(Settlement.NOTHING),
    "released": lambda payment: payment.released(Settlement.RELEASED),
    "refunded": lambda payment: payment.released(Settlement.REFUNDED),
    "part refunded outside": lambda payment: payment.refunded_outside(100, LATER),
    "all refunded outside": lambda payment: payment.refunded_outside(2500, LATER),
    "outdated report": lambda payment: (
        payment.refunded_outside(2500, NOW) if payment.refund_failed_at else None
    ),
    "refund failed": lambda payment: payment.refund_failed("re_1", 2500, "unknown", LATER),
    "canceled outside": Payment.canceled_outside,
}
Outcome = tuple[State, *tuple[type[Event], ...]] | str | type[Exception] | None
"""The next state and the events, or the reason of a refusal, or None if nothing changes."""

_OUTSIDE: dict[str, Outcome] = {
    "part refunded outside": (State.CAPTURED, RefundNoticed),
    "all refunded outside": (State.REFUNDED, RefundNoticed, PaymentRefunded),
}
TABLE: dict[State, dict[str, Outcome]] = {
    State.AUTHORIZING: {
        "authorized": (State.AUTHORIZED, PaymentAuthorized),
        "declined": (State.DECLINED, PaymentDeclined),
        "capture": NotAuthorized,
        "release": (State.CANCELLING,),
    },
    State.AUTHORIZED: {
        "capture": (State.CAPTURING,),
        "expire": (State.AUTHORIZED, AuthorizationExpiring),
        "release": (State.CANCELLING,),
        "canceled outside": (State.AUTHORIZED, AuthorizationExpiring),
        "part refunded outside": (State.AUTHORIZED, RefundNoticed),
        "all refunded outside": (
            *(State.REFUNDED, PaymentCaptured, RefundNoticed, PaymentRefunded),
        ),
    },
    State.DECLINED: {
        **dict.fromkeys(("check", "opened", "authorized", "declined"), "payment_declined"),
    },
    State.CAPTURING: {
        "captured": (State.CAPTURED, PaymentCaptured),
        "lost": (State.UNCOLLECTED, PaymentUncollected),
        "release": (State.CANCELLING,),
        "part refunded outside": (State.CAPTURING, RefundNoticed),
        "all refunded outside": (
            *(State.REFUNDED, PaymentCaptured, RefundNoticed, PaymentRefunded),
        ),
    },
    State.CAPTURED: {"release": (State.CANCELLING,), **_OUTSIDE},
    State.CANCELLING: {
        **dict.fromkeys(("check", "opened", "authorized", "declined"), "returned"),
        "nothing": (State.CANCELLED,),
        "released": (State.CANCELLED, PaymentReleased),
        "refunded": (State.REFUNDED, PaymentCaptured, PaymentRefunded),
    },
    State.CANCELLED: dict.fromkeys(("check", "opened", "authorized", "declined"), "returned"),
    State.REFUNDED: {
        **dict.fromkeys(("check", "opened", "authorized", "declined"), "returned"),
        "refund failed": (State.REFUND_FAILED, RefundFailed),
    },
    State.REFUND_FAILED: {
        **dict.fromkeys(("check", "opened", "authorized", "declined"), "returned"),
        "part refunded outside": (State.REFUND_FAILED, RefundNoticed),
        "all refunded outside": (State.REFUNDED, RefundNoticed),
    },
    State.UNCOLLECTED: {
        **dict.fromkeys(("check", "opened", "authorized", "declined"), "returned"),
    },
}
"""The outcomes of the commands that change or refuse something."""


def payment(state: State, *, reason: str | None = "returned") -> Payment:
    if state is State.DECLINED:
        reason = None  # As earlier releases stored it.
    return Payment(
        order_id="order-1",
        state=state,
        payment_id="pi_1",
        amount_minor=2500,
        currency="EUR",
        reason=reason,
        authorized_until=UNTIL,
        was_captured=state in {State.CAPTURED, State.REFUNDED, State.REFUND_FAILED},
        refund_failed_at=NOW if state is State.REFUND_FAILED else None,
    )


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_state_answers_every_command(state: State, command: str) -> None:
    before, expected = payment(state), TABLE[state].get(command)
    if command == "refund failed" and expected is None:
        expected = (state, RefundFailed)  # The event and its alarm come in every state.
    if isinstance(expected, str):
        with pytest.raises(PaymentRefused, match=f"^{expected}$"):
            COMMANDS[command](before)
        return
    if isinstance(expected, type):
        with pytest.raises(expected):
            COMMANDS[command](before)
        return
    change: Change[Payment] | None = COMMANDS[command](before)
    if expected is None:
        assert change is None
        return
    assert change is not None
    after, *event_types = expected
    assert change.after.state is after
    assert [type(event) for event in change.events] == event_types
    for event in change.events:
        assert isinstance(event, PaymentEvent)
        assert (event.order_id, event.amount_minor, event.currency) == ("order-1", 2500, "EUR")


def test_the_providers_id_is_stored_once() -> None:
    opened = Payment.begin(ORDER).after.opened("pi_1")
    assert opened
    assert opened.after.payment_id == "pi_1"
    assert opened.after.opened("pi_2") is None


def test_a_payment_waits_for_its_parcel_until_twelve_hours_before_its_end() -> None:
    waiting = payment(State.AUTHORIZED)
    assert waiting.pending_since == UNTIL - timedelta(hours=12)
    assert waiting.expire(UNTIL - timedelta(hours=12, seconds=1)) is None
    expiring = waiting.expire(UNTIL - timedelta(hours=12))
    assert expiring
    assert expiring.after.pending_since is None
    assert expiring.after.canceled_outside() is None


Report = Callable[[Payment], Change[Payment] | None]


def captured_and(reports: Iterable[str], of: Mapping[str, Report]) -> tuple[Payment, list[Event]]:
    """Returns a captured payment after some reports, and the events about it."""
    current, published = payment(State.CAPTURED), list[Event]()
    for report in reports:
        if change := of[report](current):
            current = change.after
            published += change.events
    return current, published


DISPUTE: Mapping[str, Report] = {
    "opened": lambda payment: payment.disputed("du_1", 2500),
    "lost": lambda payment: payment.dispute_closed("du_1", won=False),
}
FAILED_REFUND: Mapping[str, Report] = {
    "noticed": lambda payment: payment.refunded_outside(1000, NOW),
    **dict.fromkeys(
        ("failed", "failed again"),
        lambda payment: payment.refund_failed("re_1", 1000, "expired_or_canceled_card", LATER),
    ),
}


@pytest.mark.parametrize("reports", [*permutations(DISPUTE)])
def test_a_dispute_is_closed_in_whichever_order_its_reports_come(reports: list[str]) -> None:
    current, published = captured_and(reports, DISPUTE)
    assert (current.dispute_id, current.dispute_won) == ("du_1", False)
    assert type(published[-1]) is DisputeClosed


def test_a_second_dispute_is_another_one() -> None:
    closed = payment(State.CAPTURED).dispute_closed("du_1", won=True)
    again = closed.after.disputed("du_2", 100)
    assert again
    assert (again.after.dispute_id, again.after.dispute_won) == ("du_2", None)
    (event,) = again.events
    assert isinstance(event, PaymentDisputed)
    assert event.disputed_minor == 100


def test_only_what_was_refunded_since_is_noticed() -> None:
    part = payment(State.CAPTURED).refunded_outside(100, NOW)
    assert part
    assert part.after.refunded_outside(100, NOW) is None
    more = part.after.refunded_outside(300, NOW)
    assert more
    assert more.events[0].refunded_minor == more.after.refunded_minor == 300  # type: ignore[attr-defined]


def test_a_declined_payment_keeps_the_reason() -> None:
    declined = Payment.begin(ORDER).after.declined(DeclineReason.AUTHENTICATION_REQUIRED)
    assert declined
    (event,) = declined.events
    assert isinstance(event, PaymentDeclined)
    assert event.reason is DeclineReason.AUTHENTICATION_REQUIRED
    with pytest.raises(PaymentRefused, match=r"^authentication_required$"):
        declined.after.check()


@pytest.mark.parametrize("reports", [*permutations(FAILED_REFUND)])
def test_a_refund_that_fails_is_published_once_in_whichever_order_its_reports_come(
    reports: list[str],
) -> None:
    current, published = captured_and(reports, FAILED_REFUND)
    assert (current.state, current.refunded_minor) == (State.CAPTURED, 0)
    assert [event for event in published if isinstance(event, RefundFailed)] == [
        RefundFailed(
            order_id="order-1",
            amount_minor=2500,
            currency="EUR",
            refund_id="re_1",
            failed_minor=1000,
            failure="expired_or_canceled_card",
        )
    ]


def test_a_payment_begins_with_the_total_of_its_order() -> None:
    assert Payment.begin(ORDER) == Change(
        Payment(order_id="order-1", state=State.AUTHORIZING, amount_minor=2500, currency="EUR")
    )


def test_a_payment_that_is_blocked_before_it_begins_stays_so() -> None:
    change = Payment.block("order-1", "expired")
    assert change.events == ()
    assert change.after.release("cancelled") is None
    with pytest.raises(PaymentRefused, match=r"^expired$"):
        change.after.check()


def test_the_reason_of_a_release_is_the_one_that_later_runs_are_refused_for() -> None:
    change = payment(State.AUTHORIZED, reason=None).release("out_of_stock")
    assert change
    with pytest.raises(PaymentRefused, match=r"^out_of_stock$"):
        change.after.check()


def test_a_release_of_earlier_times_that_has_no_reason_is_called_cancelled() -> None:
    with pytest.raises(PaymentRefused, match=r"^cancelled$"):
        payment(State.CANCELLED, reason=None).check()


@given(st.lists(st.sampled_from([*COMMANDS])))
def test_in_whatever_order_commands_come_money_moves_once_and_is_never_held_again(
    commands: list[str],
) -> None:
    current, published = Payment.begin(ORDER).after, list[type[Event]]()
    for command in commands:
        try:
            change: Change[Payment] | None = COMMANDS[command](current)
        except (PaymentRefused, NotAuthorized):
            continue
        if change:
            ended = current.state in {State.CANCELLED, State.REFUNDED}
            assert not ended or command == "refund failed"
            current = change.after
            published += map(type, change.events)
    moved = [type_ for type_ in published if type_ is not RefundNoticed]
    assert len(moved) == len(set(moved))
    assert not {PaymentAuthorized, PaymentDeclined} <= set(moved)
    assert not {PaymentReleased, PaymentRefunded} <= set(moved)
    if PaymentRefunded in moved:
        assert current.state in {State.REFUNDED, State.REFUND_FAILED}
        assert moved.index(PaymentCaptured) < moved.index(PaymentRefunded)
