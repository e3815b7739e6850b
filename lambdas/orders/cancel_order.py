"""Cancel an order: DELETE /orders/{order_id}."""

from functools import partial
from http import HTTPStatus

from lambdas.eventing import vault
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.http import Problem, Request, endpoint
from lambdas.orders import order_store
from lambdas.orders.domain import TooLateToCancel
from lambdas.orders.events import Address, OrderCancelled, PaymentMethod
from lambdas.orders.representation import OrderView, address_of, own_order, represent
from lambdas.shared.problems import UnknownOrder


class NotCancellable(Problem, status=HTTPStatus.CONFLICT):
    """The order can no longer be cancelled, or has ended."""


@endpoint(
    answers=OrderView,
    problems=(UnknownOrder, NotCancellable),
    publishes=(OrderCancelled,),
    uses=(
        GET,
        UPDATE,
        *vault.redeems(Address),
        *vault.keeps(Address),
        *vault.discards(PaymentMethod),
    ),
)
def handler(request: Request) -> OrderView:
    """Cancel an order.

    Possible while it is placed or confirmed. A repetition gets the same answer.
    """
    order_id = request.path["order_id"]
    try:
        order = order_store.cancel(order_id, partial(own_order, request), request)
    except TooLateToCancel as error:
        raise NotCancellable(
            f"the order is {error}; only a placed or confirmed one can be cancelled"
        ) from error
    return represent(order, address_of(order))
