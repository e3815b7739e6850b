"""The representation of a return in answers to staff, and the return that a request names."""

from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing.event import Moment
from lambdas.eventing.http import Problem, Request
from lambdas.returns import return_store
from lambdas.returns.domain import Clerk, Decision, Return, State
from lambdas.returns.events import ReturnReason
from lambdas.shared.staff import CUSTOMER_CLAIM, NO_CUSTOMER
from lambdas.shared.vocabulary import OrderId, is_order_id


class ReturnView(Struct, frozen=True, kw_only=True):
    """A return, for staff."""

    order_id: OrderId
    state: State
    reason: ReturnReason
    requested_at: Moment
    reviewer: Annotated[str | None, Meta(description="The staff member who reviews it, if any")]
    escalated_at: Annotated[Moment | None, Meta(description="When it was escalated, if it was")]
    decision: Decision | None


class UnknownReturn(Problem, status=HTTPStatus.NOT_FOUND):
    """There is no return of this order."""


class NotAwaiting(Problem, status=HTTPStatus.CONFLICT):
    """The return does not wait for a decision now."""


class OwnOrder(Problem, status=HTTPStatus.FORBIDDEN):
    """Staff cannot handle the return of their own order."""


class CustomerNotNamed(Problem, status=HTTPStatus.FORBIDDEN):
    """The token does not name the staff member's customer account."""


def clerk_of(request: Request) -> Clerk:
    """Returns the staff member who sends a request. Raises CustomerNotNamed."""
    customer_id = request.claims.get(CUSTOMER_CLAIM)
    if not customer_id:
        raise CustomerNotNamed(
            f"the token has no claim {CUSTOMER_CLAIM!r}: send an ID token, and have an "
            f"administrator set the attribute to the id of your customer account or {NO_CUSTOMER!r}"
        )
    return Clerk(
        staff_id=request.caller,
        customer_id=None if customer_id == NO_CUSTOMER else customer_id,
    )


def return_of(request: Request) -> Return:
    """Returns the return that the path names. Raises UnknownReturn."""
    order_id = request.path["order_id"]
    found = return_store.find(order_id) if is_order_id(order_id) else None
    if found is None:
        raise UnknownReturn(f"there is no return of order {order_id!r}")
    return found


def represent(found: Return) -> ReturnView:
    """Returns the representation of a return."""
    return ReturnView(
        order_id=found.order_id,
        state=found.state,
        reason=found.known_reason,
        requested_at=found.requested_at,
        reviewer=found.reviewer,
        escalated_at=found.escalated_at,
        decision=found.decision,
    )
