"""Get an order: GET /orders/{order_id}."""

from lambdas.eventing.declaration import GET
from lambdas.eventing.http import Request, endpoint
from lambdas.orders.representation import OrderView, own_order, represent
from lambdas.shared.problems import UnknownOrder


@endpoint(answers=OrderView, problems=(UnknownOrder,), uses=(GET,))
def handler(request: Request) -> OrderView:
    """Get an order.

    With its status and its history. Customers see their own orders.
    """
    return represent(own_order(request))
