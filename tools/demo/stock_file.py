"""Stock and prices: from a CSV file, or as much as the orders need."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from lambdas.inventory import stock_file
from lambdas.inventory.domain import MAX_UNITS, ReceivedItem
from tools.demo.csv_file import FileContent, read_rows
from tools.demo.orders_file import CustomerOrder

_PLENTY = 10_000


def read_stock(path: Path) -> FileContent[ReceivedItem]:
    """Reads a file, each item once, with the reader for suppliers' files. Raises UnusableFile."""
    rows = read_rows(path, stock_file.rows)
    return FileContent([row.item for row in rows.items], rows.rows_read, rows.skipped)


def plenty_for(orders: Iterable[CustomerOrder]) -> list[ReceivedItem]:
    """Returns at least twice the ordered units of each item, at the price in the first order."""
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
