"""Get an order: GET /orders/{order_id}."""

from lambdas.eventing.declaration import GET
from lambdas.eventing.http import Request, endpoint
from lambdas.orders.representation import OrderView, UnknownOrder, own_order, represent


@endpoint(answers=OrderView, problems=(UnknownOrder,), uses=(GET,))
def handler(request: Request) -> OrderView:
    """Get an order.

    Its status says where it stands, its history what happened to it. Customers see their own.
    """
    return represent(own_order(request))
