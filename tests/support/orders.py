"""Orders for tests, built from the event classes."""

from collections.abc import Sequence

from lambdas.orders import domain
from lambdas.orders.events import (
    Address,
    Line,
    OrderCancelled,
    OrderConfirmed,
    OrderExpired,
    OrderPlaced,
    PaymentMethod,
)

ADDRESS = Address(
    name="Ada Lovelace", street="St James Sq 12", postal_code="SW1Y", city="London", country="GB"
)


PAYMENT = PaymentMethod(token="tok_approve")


def line(sku: str = "MUG", quantity: int = 1, price: int = 1250) -> Line:
    """A line of an order."""
    return Line(sku=sku, quantity=quantity, unit_price_minor=price)


def placed(
    *lines: Line,
    order_id: str = "order-1",
    customer: str = "customer-1",
) -> OrderPlaced:
    """The event of a placed order, with one mug if no lines are given."""
    ordered: Sequence[Line] = lines or (line(),)
    return OrderPlaced(
        order_id=order_id,
        customer_id=customer,
        currency="EUR",
        total_minor=domain.total_minor(ordered),
        lines=tuple(ordered),
    )


def confirmed(
    *lines: Line, order_id: str = "order-1", customer: str = "customer-1"
) -> OrderConfirmed:
    """The event of a confirmed order, with one mug if no lines are given."""
    order = placed(*lines, order_id=order_id, customer=customer)
    return OrderConfirmed(
        order_id=order_id,
        customer_id=customer,
        currency=order.currency,
        total_minor=order.total_minor,
        lines=order.lines,
    )


def cancelled(order_id: str = "order-1", *, confirmed: bool = False) -> OrderCancelled:
    """The event of an order that was cancelled before or after its confirmation."""
    return OrderCancelled(order_id=order_id, customer_id="customer-1", confirmed=confirmed)


def expired(order_id: str = "order-1") -> OrderExpired:
    """The event of an order whose checkout took too long."""
    return OrderExpired(order_id=order_id, customer_id="customer-1")
