"""Orders from a CSV file. A row is a line; rows with the same `order_id` make one order."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from lambdas.inventory import csv_table
from lambdas.inventory.csv_table import Format, GoodRow, WrongRow, quoted
from lambdas.inventory.events import Sku
from lambdas.inventory.stock_file import ANY_CURRENCY, ANY_PRICE, ANY_SKU
from lambdas.orders.events import Line, PaymentToken, Quantity
from lambdas.shared.vocabulary import Currency, Minor
from tools.demo.csv_file import FileContent, nothing_usable, read_rows

ADDRESS = {
    "name": "A Customer",
    "street": "1 Example Street",
    "postal_code": "00000",
    "city": "Sampleton",
    "country": "ZZ",
}
"""The shipping address of all orders. It does not exist."""

ID_LENGTH = 128
"""Maximum length of an `order_id`, in Unicode code points."""

CUSTOMER_LENGTH = 255
"""Maximum length of a customer's id, which is the subject of their token.
https://openid.net/specs/openid-connect-core-1_0.html#IDToken"""


class OrderRow(Struct, frozen=True):
    """One line of an order."""

    order_id: Annotated[str, Meta(max_length=ID_LENGTH)]
    customer_id: Annotated[str, Meta(max_length=CUSTOMER_LENGTH)]
    sku: Sku
    quantity: Quantity
    unit_price_minor: Minor
    currency: Currency
    payment_token: PaymentToken


ORDERS = Format(
    row=OrderRow,
    wanted={
        "order_id": f"1 to {ID_LENGTH} characters",
        "customer_id": f"1 to {CUSTOMER_LENGTH} characters",
        "sku": ANY_SKU,
        "quantity": "a whole number from 1 to 100,000",
        "unit_price_minor": ANY_PRICE,
        "currency": ANY_CURRENCY,
        "payment_token": "1 to 128 characters",
    },
    max_rows=1_000_000,
)


@dataclass(frozen=True, kw_only=True)
class CustomerOrder:
    """An order that a customer wants to place. `order_id` is the customer's own id for it."""

    order_id: str
    customer_id: str
    currency: str
    payment_token: str
    lines: tuple[Line, ...]


def read_orders(path: Path) -> FileContent[CustomerOrder]:
    """Reads the orders of a file, in the order of their first rows. Raises UnusableFile."""
    rows = read_rows(path, lambda content: csv_table.rows(content, ORDERS))
    orders, contradictions = _grouped(rows.items)
    skipped = sorted([*rows.skipped, *contradictions], key=lambda skipped: skipped.line)
    if not orders:
        raise nothing_usable(path, skipped)
    return FileContent(orders, rows.rows_read, skipped)


def _grouped(
    rows: Iterable[GoodRow[OrderRow]],
) -> tuple[list[CustomerOrder], list[WrongRow]]:
    heads: dict[str, GoodRow[OrderRow]] = {}
    lines: dict[str, list[Line]] = {}
    contradictions = []
    for row in rows:
        item = row.item
        head = heads.setdefault(item.order_id, row)
        if contradiction := _contradiction(item, head):
            contradictions.append(WrongRow(row.line, contradiction))
            continue
        line = Line(sku=item.sku, quantity=item.quantity, unit_price_minor=item.unit_price_minor)
        lines.setdefault(item.order_id, []).append(line)
    orders = [
        CustomerOrder(
            order_id=order_id,
            customer_id=head.item.customer_id,
            currency=head.item.currency,
            payment_token=head.item.payment_token,
            lines=tuple(lines[order_id]),
        )
        for order_id, head in heads.items()
    ]
    return orders, contradictions


def _contradiction(row: OrderRow, head: GoodRow[OrderRow]) -> str | None:
    """Returns how a row contradicts the first row of its order, or None if it does not."""
    for column in ("customer_id", "currency", "payment_token"):
        value, known = getattr(row, column), getattr(head.item, column)
        if value != known:
            return (
                f"{column} {quoted(value)} contradicts {quoted(known)} of the same order "
                f"on line {head.line}"
            )
    return None


def body_of(order: CustomerOrder) -> dict[str, object]:
    """Returns the body of the request that places the order."""
    return {
        "currency": order.currency,
        "lines": msgspec.to_builtins(order.lines),
        "shipping_address": ADDRESS,
        "payment_token": order.payment_token,
    }
