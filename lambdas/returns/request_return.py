"""Request a return: POST /orders/{order_id}/returns."""

from datetime import UTC, datetime
from http import HTTPStatus

from msgspec import Struct

from lambdas.eventing import telemetry
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Moment
from lambdas.eventing.http import Problem, Request, endpoint
from lambdas.returns import domain, return_store
from lambdas.returns.domain import Order
from lambdas.returns.events import ReturnReason, ReturnRequested, ReturnRequestedV1
from lambdas.shared.problems import UnknownOrder
from lambdas.shared.vocabulary import OrderId, is_order_id


class RequestReturn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request body: why the order comes back."""

    reason: ReturnReason


class RequestedReturn(Struct, frozen=True, kw_only=True):
    """A return, for its customer. The order's history shows its outcome."""

    order_id: OrderId
    reason: ReturnReason
    requested_at: Moment


class AlreadyRequested(Problem, status=HTTPStatus.CONFLICT):
    """The return was requested before, for another reason."""


class NotDelivered(Problem, status=HTTPStatus.CONFLICT):
    """The customer does not have the order yet."""


class TooLate(Problem, status=HTTPStatus.CONFLICT):
    """The order was delivered too long ago."""


@endpoint(
    body=RequestReturn,
    answers=RequestedReturn,
    status=HTTPStatus.ACCEPTED,
    location="/orders/{order_id}",
    problems=(UnknownOrder, NotDelivered, TooLate, AlreadyRequested),
    publishes=(ReturnRequested, ReturnRequestedV1),
    uses=(GET, PUT),
)
def handler(request: Request, command: RequestReturn) -> RequestedReturn:
    """Request a return.

    Staff decide about it. A repetition gets the same answer.
    """
    order_id = request.path["order_id"]
    order = return_store.order(order_id) if is_order_id(order_id) else Order()
    if order.customer_id != request.caller:
        raise UnknownOrder(f"you have no order {order_id!r}")
    found = return_store.find(order_id)
    if found is None:
        _check_time(order)
        event = ReturnRequested(
            order_id=order_id, customer_id=request.caller, reason=command.reason
        )
        found = return_store.request(event, order, request)
        telemetry.count("ReturnsRequested")
    if found.reason != command.reason:
        raise AlreadyRequested("the return was requested for another reason")
    return RequestedReturn(
        order_id=order_id, reason=command.reason, requested_at=found.requested_at
    )


def _check_time(order: Order) -> None:
    if order.delivered_at is None:
        raise NotDelivered(
            "the order was not delivered yet; before it is shipped, it can be cancelled"
        )
    if not domain.in_time(order.delivered_at, datetime.now(UTC)):
        raise TooLate(f"an order can be returned for {domain.RETURN_DAYS} days after its delivery")
