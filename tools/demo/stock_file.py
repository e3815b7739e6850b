"""Stock and prices of the shop: from a CSV file, or as much as the orders need."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta, structs

from lambdas.inventory import stock_file
from lambdas.inventory.csv_table import Format
from lambdas.inventory.domain import MAX_UNITS, ItemRow, ReceivedItem
from lambdas.inventory.stock_file import ANY_CURRENCY, ANY_PRICE, STOCK
from lambdas.shared.vocabulary import Currency, Minor
from tools.demo.csv_file import FileContent, read_rows
from tools.demo.orders_file import CustomerOrder

_PLENTY = 10_000
_COST_PERCENT = 60
"""The cost of each item, as a part of its price."""


class CatalogueItem(ItemRow, frozen=True, kw_only=True):
    """An item of the shop: the units that its supplier delivers, and the price that staff set."""

    quantity: Annotated[int, Meta(ge=0, le=MAX_UNITS)]
    unit_price_minor: Minor
    currency: Currency

    def delivered(self) -> ReceivedItem:
        """The item as its supplier delivers it: it costs 60 % of its price."""
        return ReceivedItem(
            sku=self.sku,
            quantity=self.quantity,
            unit_cost_minor=self.unit_price_minor * _COST_PERCENT // 100,
            currency=self.currency,
        )


CATALOGUE = Format(
    row=CatalogueItem,
    wanted={
        "sku": STOCK.wanted["sku"],
        "quantity": STOCK.wanted["quantity"],
        "unit_price_minor": ANY_PRICE,
        "currency": ANY_CURRENCY,
    },
    max_rows=STOCK.max_rows,
)


def read_stock(path: Path) -> FileContent[CatalogueItem]:
    """Reads a file, each item once, with the reader for suppliers' files. Raises UnusableFile."""
    rows = read_rows(path, partial(stock_file.items, form=CATALOGUE))
    return FileContent([row.item for row in rows.items], rows.rows_read, rows.skipped)


def plenty_for(orders: Iterable[CustomerOrder]) -> list[CatalogueItem]:
    """Returns at least twice the ordered units of each item, at the price in the first order."""
    items: dict[str, CatalogueItem] = {}
    wanted: Counter[str] = Counter()
    for order in orders:
        for line in order.lines:
            wanted[line.sku] += line.quantity
            if line.sku not in items:
                items[line.sku] = CatalogueItem(
                    sku=line.sku,
                    quantity=0,
                    unit_price_minor=line.unit_price_minor,
                    currency=order.currency,
                )
    return [
        structs.replace(item, quantity=min(MAX_UNITS, max(_PLENTY, 2 * wanted[sku])))
        for sku, item in items.items()
    ]
