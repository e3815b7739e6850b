"""Get an order: GET /orders/{order_id}."""

from lambdas.eventing.http import Request, endpoint
from lambdas.orders.representation import OrderView, own_order, represent
from lambdas.shared.problems import UnknownOrder


@endpoint(answers=OrderView, problems=(UnknownOrder,))
def handler(request: Request) -> OrderView:
    """Get an order.

    Its status says where it stands, its history what happened to it. Customers see their own.
    """
    return represent(own_order(request))
