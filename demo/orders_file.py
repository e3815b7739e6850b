"""Orders from a CSV file: one line a row, rows with the same `order_id` make one order."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from demo.csv_file import Row, Rows, Skipped, nothing_usable, read_rows
from lambdas.inventory.events import Currency, Minor, Sku
from lambdas.orders.events import Line, Quantity

KEY_LENGTH = 128
"""Characters of an `order_id`, which is the order's Idempotency-Key."""

CUSTOMER_LENGTH = 255
"""Characters of a customer's id, which is the subject of their token.
https://openid.net/specs/openid-connect-core-1_0.html#IDToken"""

ANY_CURRENCY = "three capital letters, such as EUR"
ANY_PRICE = "a whole number of minor units (cents), from 0 to 1,000,000,000,000"
ANY_SKU = "1 to 64 letters, digits and . _ / + : - that begin with a letter or digit"


class OrderRow(Row, frozen=True):
    """One line of an order."""

    order_id: Annotated[str, Meta(max_length=KEY_LENGTH)]
    customer_id: Annotated[str, Meta(max_length=CUSTOMER_LENGTH)]
    sku: Sku
    quantity: Quantity
    unit_price_minor: Minor
    currency: Currency
    payment_token: Annotated[str, Meta(max_length=128)]

    @classmethod
    def expected(cls) -> dict[str, str]:
        """See `Row`."""
        return {
            "order_id": f"1 to {KEY_LENGTH} characters",
            "customer_id": f"1 to {CUSTOMER_LENGTH} characters",
            "sku": ANY_SKU,
            "quantity": "a whole number from 1 to 100,000",
            "unit_price_minor": ANY_PRICE,
            "currency": ANY_CURRENCY,
            "payment_token": "1 to 128 characters",
        }


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as a customer wants to place it; `order_id` is the customer's name for it."""

    order_id: str
    customer_id: str
    currency: str
    payment_token: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class OrdersFile:
    """What a file of orders holds."""

    orders: list[Order]
    rows_read: int
    skipped: list[Skipped]


def read_orders(path: Path) -> OrdersFile:
    """The orders of a file in the order in which they begin. Raises UnusableFile."""
    rows = read_rows(path, OrderRow)
    orders, contradictions = _grouped(rows)
    skipped = sorted([*rows.skipped, *contradictions], key=lambda skipped: skipped.line)
    if not orders:
        raise nothing_usable(path, skipped)
    return OrdersFile(orders, rows.read, skipped)


def _grouped(rows: Rows[OrderRow]) -> tuple[list[Order], list[Skipped]]:
    heads: dict[str, tuple[int, OrderRow]] = {}
    lines: dict[str, list[Line]] = {}
    contradictions = []
    for number, row in rows.good:
        first, head = heads.setdefault(row.order_id, (number, row))
        contradiction = _contradiction(row, head)
        if contradiction:
            said = f"{getattr(row, contradiction)!r} contradicts {getattr(head, contradiction)!r}"
            reason = f"{said} of the same order on line {first}"
            contradictions.append(Skipped(number, contradiction, reason))
            continue
        line = Line(sku=row.sku, quantity=row.quantity, unit_price_minor=row.unit_price_minor)
        lines.setdefault(row.order_id, []).append(line)
    orders = [
        Order(
            order_id=order_id,
            customer_id=head.customer_id,
            currency=head.currency,
            payment_token=head.payment_token,
            lines=tuple(lines[order_id]),
        )
        for order_id, (_, head) in heads.items()
    ]
    return orders, contradictions


def _contradiction(row: OrderRow, head: OrderRow) -> str | None:
    """The column in which two rows of one order may not differ, but do."""
    for column in ("customer_id", "currency", "payment_token"):
        if getattr(row, column) != getattr(head, column):
            return column
    return None


def body_of(order: Order) -> dict[str, object]:
    """The body of the request that places the order. The address is made up, and nobody's."""
    return {
        "currency": order.currency,
        "lines": msgspec.to_builtins(order.lines),
        "shipping_address": {
            "name": "A Customer",
            "street": "1 Example Street",
            "postal_code": "00000",
            "city": "Sampleton",
            "country": "ZZ",
        },
        "payment_token": order.payment_token,
    }
