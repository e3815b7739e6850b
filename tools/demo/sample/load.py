"""Writes many orders: `python -m tools.demo.sample.load 2000 120 > orders.csv`."""

import sys
from collections.abc import Iterator
from random import Random
from typing import TextIO

from tools.demo.csv_file import write_rows
from tools.demo.orders_file import OrderRow

_SEED = 2026
_ITEMS = 1_500
_CUSTOMERS = 500
_PAYMENTS = {
    "tok_approve": 90,
    "tok_decline": 5,
    "tok_flaky_2": 3,
    "tok_flaky_9": 1,
    "tok_timeout": 1,
}
"""The payment tokens of customers, with weights."""


def write(file: TextIO, orders: int, most_lines: int) -> None:
    """Writes orders of 1 to `most_lines` lines, always the same ones."""
    random = Random(_SEED)
    prices = {f"SKU-{number:04}": random.randrange(100, 9_000) for number in range(_ITEMS)}
    skus = sorted(prices)
    tokens, weights = list(_PAYMENTS), list(_PAYMENTS.values())

    def rows() -> Iterator[OrderRow]:
        for number in range(1, orders + 1):
            (token,) = random.choices(tokens, weights)
            for sku in random.sample(skus, random.randint(1, most_lines)):
                customer, units = f"customer-{number % _CUSTOMERS}", random.randint(1, 3)
                yield OrderRow(f"L-{number:05}", customer, sku, units, prices[sku], "EUR", token)

    write_rows(file, OrderRow, rows())


if __name__ == "__main__":
    write(sys.stdout, int(sys.argv[1]), int(sys.argv[2]))
