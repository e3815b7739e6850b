"""Request a return: POST /orders/{order_id}/returns."""

from datetime import UTC, datetime
from http import HTTPStatus

from msgspec import Struct

from lambdas.eventing import telemetry
from lambdas.eventing.http import Problem, Request, Response, endpoint
from lambdas.returns import domain, return_store
from lambdas.returns.events import ReturnRequested, Words
from lambdas.returns.return_store import Order


class RequestReturn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a customer sends: why the order comes back."""

    reason: Words


@endpoint
def handler(request: Request) -> Response:
    """202 with the order's address, also when repeated; a Problem 400, 404, or 409."""
    order_id = request.path["order_id"]
    order = return_store.order(order_id) if domain.could_be_order(order_id) else Order()
    if order.customer_id != request.caller:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown_order", f"you have no order {order_id!r}")
    wish = request.decode(RequestReturn)
    found = return_store.find(order_id)
    if found is None:
        _check_time(order)
        event = ReturnRequested(order_id=order_id, customer_id=request.caller, reason=wish.reason)
        found = return_store.request(event, request)
        telemetry.count("ReturnsRequested")
    if found.reason != wish.reason:
        raise Problem(
            HTTPStatus.CONFLICT, "already_requested", "the return was requested for another reason"
        )
    body = {"order_id": order_id, "reason": found.reason, "requested_at": found.requested_at}
    location = {"location": f"/orders/{order_id}"}  # its history tells what becomes of the return
    return Response(status=HTTPStatus.ACCEPTED, body=body, headers=location)


def _check_time(order: Order) -> None:
    if order.delivered_at is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "not_delivered",
            "the order was not delivered yet; one that is not shipped can be cancelled",
        )
    if not domain.in_time(order.delivered_at, datetime.now(UTC)):
        raise Problem(
            HTTPStatus.CONFLICT,
            "too_late",
            f"an order can be given back for {domain.RETURN_DAYS} days after its delivery",
        )
