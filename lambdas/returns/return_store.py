"""Returns' table: what a return must know of each order, and one return per order at most."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from lambdas.eventing import pending
from lambdas.eventing.event import Cause
from lambdas.eventing.task import Refusal
from lambdas.eventing.transaction import (
    ConditionFailed,
    Contention,
    Key,
    Transaction,
    expiry,
    read,
)
from lambdas.returns.domain import NOT_REVIEWED, Decision, Moment, State
from lambdas.returns.events import (
    OrderReturned,
    ReturnDecided,
    ReturnEvent,
    ReturnRefused,
    ReturnRequested,
)
from lambdas.returns.settings import settings

KEPT_DAYS = 365
"""How long an order is known after the last news of it: longer than a parcel may be on its way, and
than a return may be asked for after that."""

_TRIES = 5


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order: whose it is, and since when they have it."""

    customer_id: str | None = None
    delivered_at: Moment | None = None


class ApprovalStands(Refusal):
    """Somebody approved the return before it was refused for lack of a decision."""


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """A return as stored: in the index of pending items as long as its state is `awaiting`."""

    order_id: str
    customer_id: str
    reason: str
    state: State
    requested_at: Moment
    task_token: str | None = None
    """What the workflow waits with, now or the last time."""
    reviewer: str | None = None
    escalated_at: Moment | None = None
    decision: Decision | None = None


def keep_customer(order_id: str, customer_id: str, cause: Cause) -> None:
    """Notes whose an order is. What else is known of it stays."""
    _keep(order_id, "customer_id", customer_id, cause)


def keep_delivery(order_id: str, delivered_at: datetime, cause: Cause) -> None:
    """Notes when an order was delivered. What else is known of it stays."""
    _keep(order_id, "delivered_at", delivered_at.isoformat(), cause)


def order(order_id: str) -> Order:
    """What is known of an order as of now."""
    return msgspec.convert(read(settings(), _order_key(order_id)) or {}, Order)


def find(order_id: str) -> Return | None:
    """The return of an order as of now, or None."""
    stored = read(settings(), _return_key(order_id))
    return msgspec.convert(stored, Return) if stored else None


def require(order_id: str) -> Return:
    """The return of an order. Raises LookupError: its event was seen, so it must be there."""
    found = find(order_id)
    if found is None:
        raise LookupError(f"the return of order {order_id} is not in {settings().table_name}")
    return found


def awaiting(*, limit: int) -> list[Return]:
    """Up to `limit` returns that wait for a decision, the oldest first."""
    return msgspec.convert(pending.oldest(settings(), limit=limit), list[Return])


def request(wish: ReturnRequested, cause: Cause) -> Return:
    """Stores a return and its event, unless there is one. Returns the one that stands."""
    new = Return(
        order_id=wish.order_id,
        customer_id=wish.customer_id,
        reason=wish.reason,
        state=State.REQUESTED,
        requested_at=datetime.now(UTC),
    )
    key = _return_key(wish.order_id)
    transaction = Transaction(settings(), cause)
    transaction.create(key, {"kind": "return", **msgspec.to_builtins(new)})
    transaction.publish(key, wish)
    try:
        transaction.commit()
    except ConditionFailed:
        return require(wish.order_id)
    return new


def await_decision(order_id: str, task_token: str, cause: Cause) -> Return:
    """Keeps the token that the workflow waits with now, and returns the return as it then is.

    The first token makes the return one that can be decided about.
    """
    for _ in range(_TRIES):
        found = require(order_id)
        state = State.AWAITING if found.state is State.REQUESTED else found.state
        if _change(found, state, cause, task_token=task_token):
            return msgspec.structs.replace(found, state=state, task_token=task_token)
    raise Contention(f"the return of order {order_id} kept changing while its token was stored")


def review(found: Return, reviewer: str, cause: Cause) -> bool:
    """Notes who looks at a return. False if its state changed in the meantime."""
    return _change(found, found.state, cause, reviewer=reviewer)


def escalate(order_id: str, cause: Cause) -> bool:
    """Notes that nobody looks at a return. False if that is known, or somebody has decided."""
    found = require(order_id)
    if found.state is not State.AWAITING or found.escalated_at:
        return False
    return _change(found, found.state, cause, escalated_at=datetime.now(UTC).isoformat())


def decide(found: Return, decision: Decision, decider: str, cause: Cause) -> bool:
    """Stores a decision and its event. False if the return's state changed in the meantime."""
    event = ReturnDecided(
        order_id=found.order_id,
        customer_id=found.customer_id,
        approved=decision.approved,
        note=decision.note,
    )
    stored = msgspec.to_builtins(decision)
    return _change(found, State.DECIDED, cause, event, decision=stored, decider=decider)


def complete(order_id: str, cause: Cause) -> None:
    """Ends a return that was approved; does nothing if it has ended."""
    found = require(order_id)
    if found.state is State.RETURNED:
        return
    event = OrderReturned(order_id=order_id, customer_id=found.customer_id)
    if not _change(found, State.RETURNED, cause, event):
        raise Contention(f"the return of order {order_id} changed while it was completed")


def refuse(order_id: str, cause: Cause) -> None:
    """Ends a return that was not approved; does nothing if it has ended.

    Raises ApprovalStands if somebody approved it after all.
    """
    for _ in range(_TRIES):
        found = require(order_id)
        if found.state is State.REFUSED:
            return
        decision = found.decision or NOT_REVIEWED
        if decision.approved:
            raise ApprovalStands(found.state.value)
        event = ReturnRefused(
            order_id=order_id, customer_id=found.customer_id, reason=decision.note
        )
        stored = msgspec.to_builtins(decision)
        if _change(found, State.REFUSED, cause, event, decision=stored):
            return
    raise Contention(f"the return of order {order_id} kept changing while it was refused")


def _keep(order_id: str, name: str, value: str, cause: Cause) -> None:
    transaction = Transaction(settings(), cause)
    transaction.update(
        _order_key(order_id),
        f"SET kind = :kind, expires_at = :expires_at, {name} = :value",
        values={":kind": "order", ":expires_at": expiry(KEPT_DAYS), ":value": value},
    )
    transaction.commit()


def _change(
    found: Return, state: State, cause: Cause, event: ReturnEvent | None = None, **attributes: Any
) -> bool:
    """Moves a return on, with `attributes`, unless its state is another one by now."""
    values = {"state": state.value, **attributes}
    removed = pending.REMOVED
    if state is State.AWAITING:
        values |= pending.waiting(found.order_id, found.requested_at)
        removed = ""
    key = _return_key(found.order_id)
    transaction = Transaction(settings(), cause)
    transaction.update(
        key,
        f"SET {', '.join(f'#{name} = :{name}' for name in values)} {removed}",
        condition="#state = :expected",
        names={f"#{name}": name for name in values},
        values={
            ":expected": found.state.value,
            **{f":{name}": value for name, value in values.items()},
        },
    )
    if event:
        transaction.publish(key, event)
    try:
        transaction.commit()
    except ConditionFailed:
        return False
    return True


def _order_key(order_id: str) -> Key:
    return (f"ORDER#{order_id}", "ORDER")


def _return_key(order_id: str) -> Key:
    return (f"ORDER#{order_id}", "RETURN")
