"""Get an order: GET /orders/{order_id}."""

from lambdas.eventing import vault
from lambdas.eventing.declaration import GET
from lambdas.eventing.http import Request, endpoint
from lambdas.orders.events import Address
from lambdas.orders.representation import OrderView, address_of, own_order, represent
from lambdas.shared.problems import UnknownOrder


@endpoint(answers=OrderView, problems=(UnknownOrder,), uses=(GET, *vault.redeems(Address)))
def handler(request: Request) -> OrderView:
    """Get an order.

    With its status and its history. Customers see their own orders.
    """
    order = own_order(request)
    return represent(order, address_of(order))
