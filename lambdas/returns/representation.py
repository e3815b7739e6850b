"""A return as staff see it, and how their requests find it."""

import re
from http import HTTPStatus
from typing import Any

from lambdas.eventing.http import Problem, Request
from lambdas.returns import return_store
from lambdas.returns.return_store import Return

_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


def order_id_of(request: Request) -> str:
    """The order that the path names. Raises Problem 404 if that can be none at all."""
    order_id = request.path["order_id"]
    if not _ID.fullmatch(order_id):
        raise unknown_order(order_id)
    return order_id


def unknown_order(order_id: str) -> Problem:
    """The answer to a customer about an order that is not theirs, or none."""
    return Problem(HTTPStatus.NOT_FOUND, "unknown_order", f"you have no order {order_id!r}")


def return_of(request: Request) -> Return:
    """The return that the path names. Raises Problem 404, and 403 for all but staff."""
    request.require_staff()
    order_id = order_id_of(request)
    found = return_store.find(order_id)
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
