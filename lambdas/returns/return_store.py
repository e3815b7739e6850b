"""Returns' table: the facts about each order that a return needs, and one return per order."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from lambdas.eventing import trace
from lambdas.eventing.event import Cause
from lambdas.eventing.listing import Listing, Page, Position
from lambdas.eventing.store import Store
from lambdas.eventing.transaction import Key, Transaction, expiry, read
from lambdas.returns.domain import Clerk, Decision, Order, Return
from lambdas.returns.events import ReturnRequested
from lambdas.returns.settings import settings

KEPT_DAYS = 365
"""How long the facts about an order are kept after the last event: longer than a parcel may be on
its way and a return may be requested after that."""

DECISIONS = "DECISION#"
"""The prefix of the partition keys of recorded decisions. The table's policy denies everybody to
change or delete these items."""

_returns = Store(
    Return,
    "return",
    settings,
    lambda order_id: (f"ORDER#{order_id}", "RETURN"),
    id_field="order_id",
    formerly=["state"],
)

BY_TIME = Listing("ByTime", "kind", "requested_at")
"""All returns. Other items have no `requested_at`, so they are not in the index."""

find = _returns.find
require = _returns.require


def keep_customer(order_id: str, customer_id: str, cause: Cause) -> None:
    """Stores the customer of an order, and keeps its other facts."""
    _keep(order_id, "customer_id", customer_id, cause)


def keep_delivery(order_id: str, delivered_at: datetime, cause: Cause) -> None:
    """Stores when an order was delivered, and keeps its other facts."""
    _keep(order_id, "delivered_at", delivered_at.isoformat(), cause)


def order(order_id: str) -> Order:
    """Returns the facts about an order as of now."""
    return msgspec.convert(read(settings(), _order_key(order_id)) or {}, Order)


def awaiting(*, limit: int) -> list[Return]:
    """Returns up to `limit` returns that wait for a decision, the oldest first."""
    return _returns.pending(limit=limit)


def newest(*, limit: int, after: Position | None) -> Page[Return]:
    """Returns a page of all returns, the newest first."""
    return _returns.newest(BY_TIME, _returns.kind, limit=limit, after=after)


def request(requested: ReturnRequested, of: Order, cause: Cause) -> Return:
    """Stores a return of an order unless there is one, and returns the stored one."""
    new = Return.request(requested, datetime.now(UTC), of.traceparent)
    return _returns.commit(None, new, cause) or _returns.require(requested.order_id)


def await_decision(order_id: str, task_token: str, cause: Cause) -> Return:
    """Stores the token with which the workflow waits now, and returns the return."""
    found, _ = _returns.change(order_id, lambda found: found.await_decision(task_token), cause)
    return found


def review(order_id: str, load: Callable[[], Return], clerk: Clerk, cause: Cause) -> Return:
    """Stores the reviewer of a return. `load` reads it. Raises OwnReturn or NoDecisionDue."""
    found, _ = _returns.change(order_id, lambda found: found.review(clerk), cause, load=load)
    return found


def escalate(order_id: str, cause: Cause) -> bool:
    """Marks a return as escalated, and returns whether this call did."""
    return _returns.change(order_id, lambda found: found.escalate(datetime.now(UTC)), cause)[1]


def decide(
    order_id: str, load: Callable[[], Return], decision: Decision, clerk: Clerk, cause: Cause
) -> Return:
    """Returns the return, decided now or before. `load` reads it.

    Records in the same transaction who decided what, and when. Raises OwnReturn or NoDecisionDue.
    """

    def record(transaction: Transaction) -> None:
        item = {
            "kind": "decision",
            "order_id": order_id,
            "approved": decision.approved,
            "decided_by": clerk.staff_id,
            "decided_at": datetime.now(UTC).isoformat(),
        }
        transaction.create((f"{DECISIONS}{order_id}", "DECISION"), item, label="decision")

    found, _ = _returns.change(
        order_id, lambda found: found.decide(decision, clerk), cause, load=load, also=record
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
        f"SET kind = :kind, expires_at = :expires_at, {name} = :value, traceparent = :trace",
        values={
            ":kind": "order",
            ":expires_at": expiry(KEPT_DAYS),
            ":value": value,
            ":trace": trace.current(),
        },
    )
    transaction.commit()


def _order_key(order_id: str) -> Key:
    return (f"ORDER#{order_id}", "ORDER")
