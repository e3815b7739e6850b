"""The transitions of a return: every state with every command, without a table."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.eventing.aggregate import Change
from lambdas.eventing.event import Event
from lambdas.returns.domain import (
    NOT_REVIEWED,
    ApprovalStands,
    Clerk,
    Decision,
    NoDecisionDue,
    OwnReturn,
    Return,
    State,
    in_time,
)
from lambdas.returns.events import (
    OrderReturned,
    RefusalReason,
    ReturnDecided,
    ReturnDecidedV1,
    ReturnReason,
    ReturnRefused,
    ReturnRefusedV1,
    ReturnRequested,
    ReturnRequestedV1,
)

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
YES = Decision(approved=True)
NO = Decision(approved=False, reason=RefusalReason.USED)
CLERK = Clerk(staff_id="staff-1", customer_id=None)
OWNER = Clerk(staff_id="staff-1", customer_id="customer-1")
IDS = {"order_id": "order-1", "customer_id": "customer-1"}
REQUESTED = ReturnRequested(**IDS, reason=ReturnReason.UNWANTED)

COMMANDS: dict[str, Callable[[Return], Any]] = {
    "await": lambda found: found.await_decision("token-2"),
    "review": lambda found: found.review(CLERK),
    "escalate": lambda found: found.escalate(NOW),
    "approve": lambda found: found.decide(YES, CLERK),
    "decline": lambda found: found.decide(NO, CLERK),
    "complete": Return.complete,
    "refuse": Return.refuse,
}
Outcome = tuple[State, type[Event] | None] | type[Exception] | None
TABLE: dict[tuple[State, Decision | None], dict[str, Outcome]] = {
    (State.REQUESTED, None): {
        "await": (State.AWAITING, None),
        "review": NoDecisionDue,
        "escalate": None,
        "approve": NoDecisionDue,
        "decline": NoDecisionDue,
        "complete": (State.RETURNED, OrderReturned),
        "refuse": (State.REFUSED, ReturnRefused),
    },
    (State.AWAITING, None): {
        "await": (State.AWAITING, None),
        "review": (State.AWAITING, None),
        "escalate": (State.AWAITING, None),
        "approve": (State.DECIDED, ReturnDecided),
        "decline": (State.DECIDED, ReturnDecided),
        "complete": (State.RETURNED, OrderReturned),
        "refuse": (State.REFUSED, ReturnRefused),
    },
    (State.DECIDED, YES): {
        "await": (State.DECIDED, None),
        "review": NoDecisionDue,
        "escalate": None,
        "approve": None,
        "decline": NoDecisionDue,
        "complete": (State.RETURNED, OrderReturned),
        "refuse": ApprovalStands,
    },
    (State.DECIDED, NO): {
        "await": (State.DECIDED, None),
        "review": NoDecisionDue,
        "escalate": None,
        "approve": NoDecisionDue,
        "decline": None,
        "complete": (State.RETURNED, OrderReturned),
        "refuse": (State.REFUSED, ReturnRefused),
    },
    (State.RETURNED, YES): {
        "await": (State.RETURNED, None),
        "review": NoDecisionDue,
        "escalate": None,
        "approve": None,
        "decline": NoDecisionDue,
        "complete": None,
        "refuse": ApprovalStands,
    },
    (State.REFUSED, NO): {
        "await": (State.REFUSED, None),
        "review": NoDecisionDue,
        "escalate": None,
        "approve": NoDecisionDue,
        "decline": None,
        "complete": (State.RETURNED, OrderReturned),
        "refuse": None,
    },
}


def a_return(state: State, decision: Decision | None = None, **fields: Any) -> Return:
    return Return(
        order_id="order-1",
        customer_id="customer-1",
        reason="unwanted",
        state=state,
        requested_at=NOW,
        decision=decision,
        **fields,
    )


@pytest.mark.parametrize("before", TABLE, ids=lambda each: f"{each[0]}-{each[1] == YES}")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_state_answers_every_command(
    before: tuple[State, Decision | None], command: str
) -> None:
    found, expected = a_return(*before), TABLE[before][command]
    if isinstance(expected, type):
        with pytest.raises(expected, match=f"^{found.state}$"):
            COMMANDS[command](found)
        return
    change: Change[Return] | None = COMMANDS[command](found)
    if expected is None:
        assert change is None
        return
    assert change is not None
    state, event_type = expected
    assert change.after.state is state
    assert [type(event) for event in change.events] == ([event_type] if event_type else [])
    assert {event.subject for event in change.events} <= {"order-1"}


def test_the_table_has_every_state() -> None:
    assert {state for state, _ in TABLE} == {*State}


def test_a_return_begins_with_what_the_customer_says() -> None:
    change = Return.request(REQUESTED, NOW)
    older = ReturnRequestedV1(**IDS, reason="unwanted")
    assert change == Change(a_return(State.REQUESTED), (REQUESTED,), also_as=(older,))


@pytest.mark.parametrize("state", State)
def test_it_is_pending_only_while_it_awaits_a_decision(state: State) -> None:
    assert a_return(state).pending_since == (NOW if state is State.AWAITING else None)


def test_the_last_token_is_the_one_that_the_workflow_waits_with() -> None:
    assert a_return(State.AWAITING, task_token="token-1").await_decision("token-2").after == (
        a_return(State.AWAITING, task_token="token-2")
    )


def test_a_review_names_the_reviewer() -> None:
    assert a_return(State.AWAITING).review(CLERK).after.reviewer == "staff-1"


def test_it_is_escalated_once() -> None:
    change = a_return(State.AWAITING).escalate(NOW)
    assert change
    assert change.after.escalated_at == NOW
    assert change.after.escalate(NOW) is None


@pytest.mark.parametrize("decision", [YES, NO])
def test_a_decision_is_published_and_kept_with_its_decider(decision: Decision) -> None:
    change = a_return(State.AWAITING).decide(decision, CLERK)
    assert change
    assert (change.after.decision, change.after.decider) == (decision, "staff-1")
    approved, reason = decision.approved, decision.reason
    assert change.events == (ReturnDecided(**IDS, approved=approved, reason=reason),)
    older = ReturnDecidedV1(**IDS, approved=approved, note=reason or "approved")
    assert change.also_as == (older,)


@pytest.mark.parametrize(
    ("decision", "reason"),
    [
        (NO, RefusalReason.USED),
        (None, RefusalReason.NOT_REVIEWED),
        # Of an earlier release, which kept a note.
        (Decision(approved=False), RefusalReason.CONDITIONS_NOT_MET),
    ],
)
def test_a_refusal_gives_the_reason_of_the_decision_or_that_there_was_none(
    decision: Decision | None, reason: RefusalReason
) -> None:
    change = a_return(State.DECIDED if decision else State.AWAITING, decision).refuse()
    assert change
    assert change.events == (ReturnRefused(**IDS, reason=reason),)
    assert change.also_as == (ReturnRefusedV1(**IDS, reason=reason),)
    assert change.after.decision == (decision or NOT_REVIEWED)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (
            ReturnRequestedV1(**IDS, reason="damaged"),
            ReturnRequested(**IDS, reason=ReturnReason.DAMAGED),
        ),
        (
            ReturnRequestedV1(**IDS, reason="write to ada@example.com"),
            ReturnRequested(**IDS, reason=ReturnReason.OTHER),
        ),
        (
            ReturnDecidedV1(**IDS, approved=True, note="Ada is right"),
            ReturnDecided(**IDS, approved=True, reason=None),
        ),
        (
            ReturnDecidedV1(**IDS, approved=False, note="used"),
            ReturnDecided(**IDS, approved=False, reason=RefusalReason.USED),
        ),
        (
            ReturnDecidedV1(**IDS, approved=False, note="Ada wore it"),
            ReturnDecided(**IDS, approved=False, reason=RefusalReason.CONDITIONS_NOT_MET),
        ),
        (
            ReturnRefusedV1(**IDS, reason="not_reviewed"),
            ReturnRefused(**IDS, reason=RefusalReason.NOT_REVIEWED),
        ),
        (
            ReturnRefusedV1(**IDS, reason="Ada wore it"),
            ReturnRefused(**IDS, reason=RefusalReason.CONDITIONS_NOT_MET),
        ),
    ],
    ids=lambda event: getattr(event, "reason", None) or getattr(event, "note", None),
)
def test_text_in_an_older_event_becomes_a_general_reason(older: Event, newer: Event) -> None:
    assert older.upcast() == newer


@pytest.mark.parametrize(
    ("age", "allowed"),
    [(timedelta(), True), (timedelta(days=30), True), (timedelta(days=30, seconds=1), False)],
)
def test_an_order_can_be_given_back_for_thirty_days(age: timedelta, allowed: bool) -> None:
    assert in_time(NOW, NOW + age) is allowed


@given(st.lists(st.sampled_from([each for each in COMMANDS if each != "complete"])))
def test_in_whatever_order_commands_come_a_decision_stands_and_is_published_once(
    commands: list[str],
) -> None:
    """A return is completed by a workflow that has refunded the money: that is not here."""
    current, published = Return.request(REQUESTED, NOW).after, list[Event]()
    for command in commands:
        before = current.decision
        try:
            change: Change[Return] | None = COMMANDS[command](current)
        except (NoDecisionDue, ApprovalStands):
            continue
        if change:
            current = change.after
            published += change.events
        assert before in {None, current.decision}
    types = [type(event) for event in published]
    assert len(types) == len(set(types))
    if ReturnRefused in types:
        assert current.decision
        assert not current.decision.approved


@pytest.mark.parametrize("state", State)
def test_nobody_handles_the_return_of_their_own_order_in_any_state(state: State) -> None:
    with pytest.raises(OwnReturn):
        a_return(state).review(OWNER)
    with pytest.raises(OwnReturn):
        a_return(state).decide(YES, OWNER)
