"""Stock and prices: from a CSV file, or plenty of whatever the orders want."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from demo.csv_file import Row, Skipped, nothing_usable, read_rows
from demo.orders_file import ANY_CURRENCY, ANY_PRICE, ANY_SKU, Order
from lambdas.inventory.domain import ReceivedItem
from lambdas.inventory.events import Currency, Minor, Sku

MAX_UNITS = 10**9
"""Units of one item that inventory takes at once."""

_PLENTY = 10_000


class StockRow(Row, frozen=True):
    """Units of one item, and its price."""

    sku: Sku
    quantity: Annotated[int, Meta(ge=0, le=MAX_UNITS)]
    unit_price_minor: Minor
    currency: Currency

    @classmethod
    def expected(cls) -> dict[str, str]:
        """See `Row`."""
        return {
            "sku": ANY_SKU,
            "quantity": f"a whole number from 0 to {MAX_UNITS:,}",
            "unit_price_minor": ANY_PRICE,
            "currency": ANY_CURRENCY,
        }


@dataclass(frozen=True)
class StockFile:
    """What a file of stock holds: each item once."""

    items: list[ReceivedItem]
    rows_read: int
    skipped: list[Skipped]


def read_stock(path: Path) -> StockFile:
    """The items of a file; rows of the same item are added up. Raises UnusableFile."""
    rows = read_rows(path, StockRow)
    heads: dict[str, tuple[int, StockRow]] = {}
    units: Counter[str] = Counter()
    skipped = list(rows.skipped)
    for number, row in rows.good:
        first, head = heads.setdefault(row.sku, (number, row))
        price, known = (f"{each.unit_price_minor} {each.currency}" for each in (row, head))
        if price != known:
            reason = f"{price} contradicts {known} of the same item on line {first}"
            skipped.append(Skipped(number, "unit_price_minor", reason))
        elif units[row.sku] + row.quantity > MAX_UNITS:
            reason = f"makes more than {MAX_UNITS:,} units of {row.sku}"
            skipped.append(Skipped(number, "quantity", reason))
        else:
            units[row.sku] += row.quantity
    if not heads:
        raise nothing_usable(path, skipped)
    items = [_item(head, units[sku]) for sku, (_, head) in heads.items()]
    return StockFile(items, rows.read, sorted(skipped, key=lambda skipped: skipped.line))


def plenty_for(orders: Iterable[Order]) -> list[ReceivedItem]:
    """Twice what the orders want of each item, at the first price that one of them names."""
    items: dict[str, ReceivedItem] = {}
    wanted: Counter[str] = Counter()
    for order in orders:
        for line in order.lines:
            wanted[line.sku] += line.quantity
            if line.sku not in items:
                items[line.sku] = ReceivedItem(
                    sku=line.sku,
                    quantity=0,
                    unit_price_minor=line.unit_price_minor,
                    currency=order.currency,
                )
    return [
        msgspec.structs.replace(item, quantity=min(MAX_UNITS, max(_PLENTY, 2 * wanted[sku])))
        for sku, item in items.items()
    ]


def _item(row: StockRow, quantity: int) -> ReceivedItem:
    return ReceivedItem(
        sku=row.sku,
        quantity=quantity,
        unit_price_minor=row.unit_price_minor,
        currency=row.currency,
    )
