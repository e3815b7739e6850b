"""The supplier: uploads stock files, and gets a report on each."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdk_rehearsal import Rehearsal
from lambdas.inventory import stock_file
from lambdas.inventory.csv_table import GoodRow, Refused, WrongRow
from lambdas.inventory.domain import ReceivedItem
from lambdas.inventory.supplier_files import INCOMING, REPORTS
from tools.demo.csv_file import write_rows
from tools.demo.stock_file import CatalogueItem

BUCKET = "Inventory/SupplierFiles/Bucket"
SUPPLIER = "north"
"""The supplier of all items."""
_ROWS = 1_000
"""The most items in one file."""


@dataclass(frozen=True)
class SupplierFile:
    """A supplier's file."""

    name: str
    content: bytes

    @property
    def rows(self) -> int:
        """The number of rows below the header, or 0 if the shop must refuse the file."""
        if self._read() is None:
            return 0
        return (
            sum(map(any, csv.reader(io.StringIO(self.content.decode("utf-8-sig", "replace"))))) - 1
        )

    def units(self) -> dict[str, int]:
        """Returns the units of each item in the correct rows."""
        good = (row.item for row in self._read() or () if isinstance(row, GoodRow))
        return {item.sku: item.quantity for item in good}

    def _read(self) -> list[GoodRow[ReceivedItem] | WrongRow] | None:
        try:
            return [*stock_file.rows(io.BytesIO(self.content))]
        except Refused:
            return None


def files_of(items: Sequence[CatalogueItem]) -> Iterator[SupplierFile]:
    """Yields the items as files of a bounded size."""
    for number, start in enumerate(range(0, len(items), _ROWS), 1):
        text = io.StringIO()
        delivered = [item.delivered() for item in items[start : start + _ROWS]]
        write_rows(text, ReceivedItem, delivered)
        yield SupplierFile(f"stock-{number}.csv", text.getvalue().encode())


def file_at(path: Path) -> SupplierFile:
    """Returns a file unchanged, mistakes included."""
    return SupplierFile(path.name, path.read_bytes())


def hand_in(shop: Rehearsal, files: Sequence[SupplierFile]) -> None:
    """Uploads the files."""
    for file in files:
        shop.client("s3").put_object(
            Bucket=shop.physical_id(BUCKET),
            Key=f"{INCOMING}{SUPPLIER}/{file.name}",
            Body=file.content,
        )


def reports(shop: Rehearsal) -> dict[str, dict[str, Any]]:
    """Returns the shop's reports on files, by key."""
    client, bucket = shop.client("s3"), shop.physical_id(BUCKET)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=REPORTS)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {
        key: json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys
    }
