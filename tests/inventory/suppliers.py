"""The suppliers of the inventory context: they store files and read reports."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import time_machine

from lambdas.inventory import import_stock_file
from lambdas.inventory.stock_file import STOCK
from tests.inventory.context import MORNING, Inventory
from tests.support.messages import batch, failed
from tests.support.objects import Bucket, context, notification

HEADER = STOCK.header
KEY = "incoming/north/monday.csv"


def csv(*lines: str) -> bytes:
    """A file with these lines below the header."""
    return "\n".join([HEADER, *lines, ""]).encode()


def rows(units: Iterable[tuple[str, int]], cost: int = 800) -> bytes:
    """A file with units of SKUs."""
    return csv(*(f"{sku},{quantity},{cost},EUR" for sku, quantity in units))


@dataclass(frozen=True)
class Suppliers:
    """Stores files, delivers their notifications, and reads the reports."""

    inventory: Inventory
    bucket: Bucket

    def drop(self, content: bytes, key: str = KEY, *, at: datetime = MORNING) -> str:
        """Stores a file at a certain time; returns the body of its notification."""
        with time_machine.travel(at, tick=False):
            return notification(self.bucket.put(key, content))

    def deliver(self, *bodies: str, seconds: Iterable[float] = (900,)) -> list[str]:
        """Delivers messages; returns the ids of those to be delivered again."""
        return failed(import_stock_file.handler(batch(*bodies), context(*seconds)))

    def send(self, content: bytes, key: str = KEY) -> Any:
        """Stores a file, delivers its notification, and returns the report."""
        body = self.drop(content, key)
        assert self.deliver(body) == []
        return self.report(body)

    def report(self, body: str) -> Any:
        """The report on the file of a notification."""
        stored = json.loads(body)["Records"][0]["s3"]["object"]
        (key,) = [key for key in self.bucket.keys("reports/") if stored["versionId"] in key]
        return json.loads(self.bucket.get(key))
