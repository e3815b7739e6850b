"""Cancel an order: DELETE /orders/{order_id}."""

from http import HTTPStatus

from lambdas.eventing.http import Problem, Request, Response, endpoint
from lambdas.orders import order_store
from lambdas.orders.domain import CANCELLABLE, Status
from lambdas.orders.events import OrderCancelled
from lambdas.orders.representation import own_order, represent

_TRIES = 3


@endpoint
def handler(request: Request) -> Response:
    """200 with the cancelled order, also when repeated; a Problem 404, or 409 if it is too late."""
    for _ in range(_TRIES):
        order = own_order(request)
        if order.status is Status.CANCELLED:
            return Response(status=HTTPStatus.OK, body=represent(order))
        if order.status not in CANCELLABLE:
            break
        event = OrderCancelled(order_id=order.order_id, customer_id=order.customer_id)
        if cancelled := order_store.change_status(order, Status.CANCELLED, event, request):
            return Response(status=HTTPStatus.OK, body=represent(cancelled))
    raise Problem(
        HTTPStatus.CONFLICT,
        "not_cancellable",
        f"the order is {order.status.value}; only a placed or confirmed one can be cancelled",
    )
