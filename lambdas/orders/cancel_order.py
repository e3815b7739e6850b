"""Cancel an order: DELETE /orders/{order_id}."""

from http import HTTPStatus

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.http import Problem, Request, endpoint
from lambdas.orders import order_store
from lambdas.orders.domain import CANCELLABLE, Status
from lambdas.orders.events import OrderCancelled
from lambdas.orders.representation import OrderView, UnknownOrder, own_order, represent

_TRIES = 3


class NotCancellable(Problem, status=HTTPStatus.CONFLICT):
    """It is too late to cancel the order, or it has come to an end already."""


@endpoint(
    answers=OrderView,
    problems=(UnknownOrder, NotCancellable),
    publishes=(OrderCancelled,),
    uses=(GET, UPDATE),
)
def handler(request: Request) -> OrderView:
    """Cancel an order.

    As long as it is placed or confirmed, whatever is under way. A repetition gets the same answer.
    """
    for _ in range(_TRIES):
        order = own_order(request)
        if Status.CANCELLED in order.history:
            return represent(order)
        if order.status not in CANCELLABLE:
            break
        event = OrderCancelled(
            order_id=order.order_id,
            customer_id=order.customer_id,
            confirmed=order.status is Status.CONFIRMED,
        )
        if cancelled := order_store.change_status(order, Status.CANCELLED, event, request):
            return represent(cancelled)
    raise NotCancellable(
        f"the order is {order.status.value}; only a placed or confirmed one can be cancelled"
    )
