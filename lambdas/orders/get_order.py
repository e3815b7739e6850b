"""Get an order: GET /orders/{order_id}."""

from http import HTTPStatus

from lambdas.eventing.http import Request, Response, endpoint
from lambdas.orders.representation import own_order, represent


@endpoint
def handler(request: Request) -> Response:
    """200 with the order, or a Problem 404."""
    return Response(status=HTTPStatus.OK, body=represent(own_order(request)))
