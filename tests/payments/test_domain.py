"""The transitions of a payment: every state with every command, without a table."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.eventing.aggregate import Change
from lambdas.eventing.event import Event
from lambdas.payments.domain import Payment, PaymentRefused, State
from lambdas.payments.events import PaymentAuthorized, PaymentDeclined, PaymentRefunded
from tests.support.orders import line, placed

ORDER = placed(line(price=2500))
COMMANDS: dict[str, Callable[[Payment], Any]] = {
    "check": Payment.check,
    "approved": lambda payment: payment.answered(approved=True),
    "declined": lambda payment: payment.answered(approved=False),
    "release": lambda payment: payment.release("expired"),
    "refunded": lambda payment: payment.released(refunded=True),
    "nothing to refund": lambda payment: payment.released(refunded=False),
}
Outcome = tuple[State, type[Event] | None] | str | None
"""The next state and the event, or the reason of a refusal, or None if nothing changes."""

TABLE: dict[State, dict[str, Outcome]] = {
    State.AUTHORIZING: {
        "check": None,
        "approved": (State.AUTHORIZED, PaymentAuthorized),
        "declined": (State.DECLINED, PaymentDeclined),
        "release": (State.CANCELLING, None),
        "refunded": None,
        "nothing to refund": None,
    },
    State.AUTHORIZED: {
        "check": None,
        "approved": None,
        "declined": None,
        "release": (State.CANCELLING, None),
        "refunded": None,
        "nothing to refund": None,
    },
    State.DECLINED: {
        "check": "payment_declined",
        "approved": "payment_declined",
        "declined": "payment_declined",
        "release": None,
        "refunded": None,
        "nothing to refund": None,
    },
    State.CANCELLING: {
        "check": "returned",
        "approved": "returned",
        "declined": "returned",
        "release": None,
        "refunded": (State.CANCELLED, PaymentRefunded),
        "nothing to refund": (State.CANCELLED, None),
    },
    State.CANCELLED: {
        "check": "returned",
        "approved": "returned",
        "declined": "returned",
        "release": None,
        "refunded": None,
        "nothing to refund": None,
    },
}


def payment(state: State, *, reason: str | None = "returned") -> Payment:
    return Payment(
        order_id="order-1", state=state, amount_minor=2500, currency="EUR", reason=reason
    )


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_state_answers_every_command(state: State, command: str) -> None:
    before, expected = payment(state), TABLE[state][command]
    if isinstance(expected, str):
        with pytest.raises(PaymentRefused, match=f"^{expected}$"):
            COMMANDS[command](before)
        return
    change: Change[Payment] | None = COMMANDS[command](before)
    if expected is None:
        assert change is None
        return
    assert change is not None
    after, event_type = expected
    assert change.after.state is after
    facts = {"order_id": "order-1", "amount_minor": 2500, "currency": "EUR"}
    assert change.events == ((event_type(**facts),) if event_type else ())


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
def test_in_whatever_order_commands_come_money_is_refunded_once_and_never_held_again(
    commands: list[str],
) -> None:
    current, published = Payment.begin(ORDER).after, list[type[Event]]()
    for command in commands:
        try:
            change: Change[Payment] | None = COMMANDS[command](current)
        except PaymentRefused:
            continue
        if change:
            assert (current.state, change.after.state) not in {
                (State.CANCELLED, state) for state in State
            }
            current = change.after
            published += map(type, change.events)
    assert len(published) == len(set(published))
    assert not {PaymentAuthorized, PaymentDeclined} <= set(published)
    if PaymentRefunded in published:
        assert current.state is State.CANCELLED
