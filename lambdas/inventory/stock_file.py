"""Stock files from suppliers: their format, and the report on each file."""

import json
from bisect import insort
from collections.abc import Iterator
from typing import BinaryIO, TypeVar

import msgspec
from msgspec import Struct

from lambdas.inventory import csv_table
from lambdas.inventory.csv_table import Format, GoodRow, WrongRow, quoted
from lambdas.inventory.domain import MAX_UNITS, ItemRow, ReceivedItem
from lambdas.shared.vocabulary import MAX_MINOR

R = TypeVar("R", bound=ItemRow)

MAX_REASONS = 100
"""Wrong rows that a report lists; the rest are counted."""

ANY_SKU = "1 to 64 characters (A-Z a-z 0-9 . _ / + : -), the first a letter or digit"
ANY_PRICE = f"the price in cents, a whole number from 0 to {MAX_MINOR:,}"
ANY_COST = f"the cost of a unit in cents, a whole number from 0 to {MAX_MINOR:,}"
ANY_CURRENCY = "three capital letters, such as EUR"

STOCK = Format(
    row=ReceivedItem,
    wanted={
        "sku": ANY_SKU,
        "quantity": f"a whole number from 0 to {MAX_UNITS:,}",
        "unit_cost_minor": ANY_COST,
        "currency": ANY_CURRENCY,
    },
    max_rows=100_000,
    formerly={"unit_price_minor": "unit_cost_minor"},
)


class Report(Struct, kw_only=True):
    """The result of an import, for the supplier.

    The same file always has the same report, unless an item gets another supplier in between.
    """

    file: str
    version: str
    refused: str | None = None
    """Why the file as a whole was rejected, if it was."""
    rows_taken: int = 0
    rows_wrong: int = 0
    wrong: list[WrongRow] = msgspec.field(default_factory=list)
    wrong_not_listed: int = 0

    def good(self, content: BinaryIO) -> Iterator[GoodRow[ReceivedItem]]:
        """Yields the good rows, and counts them and the wrong ones. Raises Refused."""
        for row in rows(content):
            if isinstance(row, GoodRow):
                self.rows_taken += 1
                yield row
            else:
                self._refuse(row)

    def disown(self, row: GoodRow[ReceivedItem]) -> None:
        """Counts a good row as wrong: its item belongs to another supplier."""
        self.rows_taken -= 1
        said = f"sku {quoted(row.item.sku)} belongs to another supplier: ask the shop"
        self._refuse(WrongRow(row.line, said))

    def _refuse(self, row: WrongRow) -> None:
        self.rows_wrong += 1
        insort(self.wrong, row, key=lambda each: each.line)
        self.wrong_not_listed += len(self.wrong) > MAX_REASONS
        del self.wrong[MAX_REASONS:]

    def to_json(self) -> bytes:
        """Returns the report in ASCII, so that no content of a file can control a terminal."""
        result = "refused" if not self.rows_taken else "accepted"
        if self.rows_taken and self.rows_wrong:
            result = "accepted in part"
        return json.dumps({"result": result, **msgspec.to_builtins(self)}, indent=2).encode()


def rows(content: BinaryIO) -> Iterator[GoodRow[ReceivedItem] | WrongRow]:
    """Yields each row of a supplier's file, good or wrong; see `items`. Raises Refused."""
    return items(content, STOCK)


def items(content: BinaryIO, form: Format[R]) -> Iterator[GoodRow[R] | WrongRow]:
    """Yields each row of a file of items, good or wrong; see `csv_table.rows`. Raises Refused.

    If several rows have the same SKU, the first good one counts and the others are wrong.
    """
    first_lines: dict[str, int] = {}
    for row in csv_table.rows(content, form):
        if isinstance(row, GoodRow):
            sku = row.item.sku
            first = first_lines.setdefault(sku, row.line)
            if first != row.line:
                yield WrongRow(
                    row.line, f"sku {quoted(sku)} is on line {first} already: that one counts"
                )
                continue
        yield row
