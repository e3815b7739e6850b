"""An order as its customer sees it, and how a request finds it."""

from http import HTTPStatus
from typing import Any

import msgspec

from lambdas.eventing.http import Problem, Request
from lambdas.orders import order_store
from lambdas.orders.domain import is_order_id
from lambdas.orders.order_store import Order


def represent(order: Order) -> dict[str, Any]:
    """The public view of an order; its history in the order of time."""
    view: dict[str, Any] = msgspec.to_builtins(order)
    del view["customer_id"], view["fingerprint"]
    steps = sorted(order.history.items(), key=lambda step: step[1].at)
    view["history"] = [{"what": what, "at": entry.at, **entry.details} for what, entry in steps]
    return view


def own_order(request: Request) -> Order:
    """The order that the path names. Raises Problem 404 if it is not the caller's."""
    order_id = request.path["order_id"]
    order = order_store.find(order_id) if is_order_id(order_id) else None
    if order is None or order.customer_id != request.caller:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown_order", f"you have no order {order_id!r}")
    return order
