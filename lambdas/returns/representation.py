"""A return as staff see it, and how their requests find it."""

from http import HTTPStatus
from typing import Any

from lambdas.eventing.http import Problem, Request
from lambdas.returns import return_store
from lambdas.returns.domain import could_be_order
from lambdas.returns.return_store import Return


def return_of(request: Request) -> Return:
    """The return that the path names. Raises Problem 404, and 403 for all but staff."""
    request.require_staff()
    order_id = request.path["order_id"]
    found = return_store.find(order_id) if could_be_order(order_id) else None
    if found is None:
        raise Problem(
            HTTPStatus.NOT_FOUND, "unknown_return", f"nobody wants to return order {order_id!r}"
        )
    return found


def represent(found: Return) -> dict[str, Any]:
    """What staff see of a return."""
    return {
        "order_id": found.order_id,
        "state": found.state,
        "reason": found.reason,
        "requested_at": found.requested_at,
        "reviewer": found.reviewer,
        "escalated_at": found.escalated_at,
        "decision": found.decision,
    }
