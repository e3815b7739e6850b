"""The supplier: drops stock files into the shop's bucket, and gets a report for each."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from cdk_rehearsal import Rehearsal
from lambdas.inventory.domain import ReceivedItem

BUCKET = "Inventory/SupplierFiles/Bucket"
_INCOMING, _REPORTS = "incoming/", "reports/"
_ROWS = 1_000
"""Items in one file."""


@dataclass(frozen=True)
class File:
    """A file as the supplier sends it."""

    name: str
    content: bytes

    @property
    def rows(self) -> int:
        """How many rows it has below its header."""
        return len(self.content.splitlines()) - 1


def files_of(items: Sequence[ReceivedItem]) -> Iterator[File]:
    """The items as files of a bounded size."""
    rest = iter(items)
    number = 0
    while part := list(islice(rest, _ROWS)):
        number += 1
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(ReceivedItem.__struct_fields__)
        writer.writerows(map(msgspec.structs.astuple, part))
        yield File(f"stock-{number}.csv", text.getvalue().encode())


def file_at(path: Path) -> File:
    """A file as it is, mistakes included."""
    return File(path.name, path.read_bytes())


def hand_in(shop: Rehearsal, files: Sequence[File]) -> None:
    """Puts the files into the bucket."""
    for file in files:
        shop.client("s3").put_object(
            Bucket=shop.physical_id(BUCKET), Key=f"{_INCOMING}{file.name}", Body=file.content
        )


def reports(shop: Rehearsal) -> dict[str, dict[str, Any]]:
    """What the shop says of each file, by the report's key."""
    client, bucket = shop.client("s3"), shop.physical_id(BUCKET)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=_REPORTS)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {
        key: json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys
    }
