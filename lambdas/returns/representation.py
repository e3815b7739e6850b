"""A return as staff see it, and how their requests find it."""

from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing.event import Moment
from lambdas.eventing.http import Problem, Request
from lambdas.returns import return_store
from lambdas.returns.domain import Decision, Return, State
from lambdas.returns.events import Words
from lambdas.shared.vocabulary import OrderId, is_order_id


class ReturnView(Struct, frozen=True, kw_only=True):
    """A return as staff see it."""

    order_id: OrderId
    state: State
    reason: Words
    requested_at: Moment
    reviewer: Annotated[str | None, Meta(description="Who looks at it, if anybody does")]
    escalated_at: Annotated[
        Moment | None, Meta(description="Since when it waits too long, if it does")
    ]
    decision: Decision | None


class UnknownReturn(Problem, status=HTTPStatus.NOT_FOUND):
    """Nobody wants to return this order."""


class NotAwaiting(Problem, status=HTTPStatus.CONFLICT):
    """The return does not wait for a decision: not yet, not now, or not any more."""


def return_of(request: Request) -> Return:
    """The return that the path names. Raises UnknownReturn."""
    order_id = request.path["order_id"]
    found = return_store.find(order_id) if is_order_id(order_id) else None
    if found is None:
        raise UnknownReturn(f"nobody wants to return order {order_id!r}")
    return found


def represent(found: Return) -> ReturnView:
    """What staff see of a return."""
    return ReturnView(
        order_id=found.order_id,
        state=found.state,
        reason=found.reason,
        requested_at=found.requested_at,
        reviewer=found.reviewer,
        escalated_at=found.escalated_at,
        decision=found.decision,
    )
