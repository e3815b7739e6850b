"""Returns' table: what a return must know of each order, and one return per order at most."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from lambdas.eventing.event import Cause
from lambdas.eventing.store import Store
from lambdas.eventing.transaction import Key, Transaction, expiry, read
from lambdas.returns.domain import Decision, Order, Return
from lambdas.returns.events import ReturnRequested
from lambdas.returns.settings import settings

KEPT_DAYS = 365
"""How long an order is known after the last event about it: longer than a parcel may be on its way,
and than a return may be requested after that."""

_returns = Store(
    Return,
    "return",
    settings,
    lambda order_id: (f"ORDER#{order_id}", "RETURN"),
    id_field="order_id",
    formerly=["state"],
)

find = _returns.find
require = _returns.require


def keep_customer(order_id: str, customer_id: str, cause: Cause) -> None:
    """Stores whose an order is. What else is known of it stays."""
    _keep(order_id, "customer_id", customer_id, cause)


def keep_delivery(order_id: str, delivered_at: datetime, cause: Cause) -> None:
    """Stores when an order was delivered. What else is known of it stays."""
    _keep(order_id, "delivered_at", delivered_at.isoformat(), cause)


def order(order_id: str) -> Order:
    """What is known of an order as of now."""
    return msgspec.convert(read(settings(), _order_key(order_id)) or {}, Order)


def awaiting(*, limit: int) -> list[Return]:
    """Up to `limit` returns that wait for a decision, the oldest first."""
    return _returns.pending(limit=limit)


def request(requested: ReturnRequested, cause: Cause) -> Return:
    """Stores a return, unless there is one. Returns the one that stands."""
    new = Return.request(requested, datetime.now(UTC))
    return _returns.commit(None, new, cause) or _returns.require(requested.order_id)


def await_decision(order_id: str, task_token: str, cause: Cause) -> Return:
    """Stores the token with which the workflow waits now, and returns the return as it then is."""
    found, _ = _returns.change(order_id, lambda found: found.await_decision(task_token), cause)
    return found


def review(order_id: str, load: Callable[[], Return], reviewer: str, cause: Cause) -> Return:
    """Stores who looks at a return. `load` reads it. Raises NoDecisionDue."""
    found, _ = _returns.change(order_id, lambda found: found.review(reviewer), cause, load=load)
    return found


def escalate(order_id: str, cause: Cause) -> bool:
    """Whether this call is the first to note that nobody looks at a return."""
    return _returns.change(order_id, lambda found: found.escalate(datetime.now(UTC)), cause)[1]


def decide(
    order_id: str, load: Callable[[], Return], decision: Decision, decider: str, cause: Cause
) -> Return:
    """Returns the return, decided now or before. `load` reads it. Raises NoDecisionDue."""
    found, _ = _returns.change(
        order_id, lambda found: found.decide(decision, decider), cause, load=load
    )
    return found


def complete(order_id: str, cause: Cause) -> None:
    """Ends a return that was approved; does nothing if it has ended."""
    _returns.change(order_id, Return.complete, cause)


def refuse(order_id: str, cause: Cause) -> None:
    """Ends a return that was not approved; does nothing if it has ended. Raises ApprovalStands."""
    _returns.change(order_id, Return.refuse, cause)


def _keep(order_id: str, name: str, value: str, cause: Cause) -> None:
    transaction = Transaction(settings(), cause)
    transaction.update(
        _order_key(order_id),
        f"SET kind = :kind, expires_at = :expires_at, {name} = :value",
        values={":kind": "order", ":expires_at": expiry(KEPT_DAYS), ":value": value},
    )
    transaction.commit()


def _order_key(order_id: str) -> Key:
    return (f"ORDER#{order_id}", "ORDER")
