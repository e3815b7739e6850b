"""The representation of an order in answers, and the order that a request names."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from lambdas.eventing import vault
from lambdas.eventing.event import Moment
from lambdas.eventing.http import Request
from lambdas.orders import domain, order_store
from lambdas.orders.domain import Order, Status
from lambdas.orders.events import Address, Line
from lambdas.shared.problems import UnknownOrder
from lambdas.shared.vocabulary import Currency, Minor, OrderId, is_order_id


class StepView(Struct, frozen=True, kw_only=True):
    """A step in the history of an order."""

    what: Annotated[str, Meta(description="What happened", examples=["shipment_requested"])]
    at: Annotated[Moment, Meta(description="When it happened")]
    reason: Annotated[str, Meta(description="Why", examples=["declined"])] | UnsetType = UNSET
    tracking_id: Annotated[str, Meta(description="The carrier's id of the parcel")] | UnsetType = (
        UNSET
    )
    due_at: Annotated[Moment, Meta(description="Deadline of the delivery")] | UnsetType = UNSET


class OrderSummary(Struct, frozen=True, kw_only=True):
    """An order without its address, for its customer."""

    order_id: OrderId
    status: Status
    currency: Currency
    total_minor: Minor
    lines: tuple[Line, ...]
    placed_at: Moment
    history: Annotated[tuple[StepView, ...], Meta(description="In chronological order")]
    reason: Annotated[
        str | None,
        Meta(
            description="Why the order was rejected, if it was. `authentication_required`: the "
            "bank asks the customer to authenticate, so another card is needed"
        ),
    ]


class OrderView(OrderSummary, frozen=True, kw_only=True):
    """An order, for its customer."""

    shipping_address: Annotated[
        Address | None, Meta(description="Null once it is deleted, some time after the order ended")
    ]


def represent(order: Order, address: Address | None) -> OrderView:
    """Returns the representation of an order with its address."""
    return OrderView(**structs.asdict(summarize(order)), shipping_address=address)


def summarize(order: Order) -> OrderSummary:
    """Returns the representation of an order without its address."""
    times = {what: entry.at for what, entry in order.history.items()}
    history = [
        {**order.history[what].details, "what": what, "at": times[what]}
        for what in domain.chronological(times)
    ]
    return OrderSummary(
        order_id=order.order_id,
        status=order.status,
        currency=order.currency,
        total_minor=order.total_minor,
        lines=order.lines,
        placed_at=order.placed_at,
        history=msgspec.convert(history, tuple[StepView, ...]),
        reason=order.reason,
    )


def address_of(order: Order) -> Address | None:
    """Returns the address of an order, or None once it is deleted."""
    return order.shipping_address or vault.find(Address, order.claim)


def own_order(request: Request) -> Order:
    """Returns the order that the path names. Raises UnknownOrder if it is not the caller's."""
    order_id = request.path["order_id"]
    order = order_store.find(order_id) if is_order_id(order_id) else None
    if order is None or order.customer_id != request.caller:
        raise UnknownOrder(f"you have no order {order_id!r}")
    return order
