"""Writes the sample again: `python -m tools.demo.sample`. The result is always the same."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from msgspec import Struct

from lambdas.inventory.domain import ReceivedItem
from tools.demo.csv_file import write_rows
from tools.demo.orders_file import OrderRow
from tools.demo.sample import ORDERS, STOCK

_SEED = 2026

_PRODUCTS = (
    "APRON BAG BEANIE BOOK BOTTLE BOWL CANDLE CAP CUP HOODIE LAMP MUG "
    "NOTEBOOK PEN PILLOW PLATE POSTER SCARF SOAP SOCKS TEAPOT TEE TOWEL VASE"
)
_COLOURS = "BLACK BLUE GREEN GREY OCHRE PINK RED SAND TEAL WHITE"
_TEAS = "ASSAM CEYLON DARJEELING SENCHA"
"""Items in another currency."""

_FEW = {"PRINT-SIGNED": (1, 8), "CHAIR-REBUILT": (3, 6), "LAMP-LIMITED": (5, 14)}
"""Scarce items: the units, and the number of customers who order one."""

_PAYMENTS = {
    "tok_approve": 252,
    "tok_decline": 20,
    "tok_flaky_1": 12,
    "tok_flaky_2": 8,
    "tok_flaky_3": 5,
    "tok_flaky_9": 3,
    "tok_timeout": 3,
}
_LARGE = (90, 91, 137, 200, 201)
"""Lines of large orders. The shop accepts 200."""

_FROM_ABROAD, _OUTDATED, _UNKNOWN, _WRONG_CURRENCY = 12, 6, 4, 2

_LINES = (1, 1, 1, 2, 2, 3, 4, 6)
_UNITS = (1, 1, 1, 2, 3)


@dataclass(frozen=True)
class _Wanted:
    """Lines (SKU, units, price), payment token and currency of an order."""

    lines: tuple[tuple[str, int, int], ...]
    token: str = "tok_approve"
    currency: str = "EUR"


def main() -> None:
    """Writes both files."""
    random = Random(_SEED)
    stock = list(_stock(random))
    orders = list(_orders(stock, random))
    random.shuffle(orders)
    _write(STOCK, ReceivedItem, stock)
    _write(ORDERS, OrderRow, _rows(orders))


def _stock(random: Random) -> Iterator[ReceivedItem]:
    for product in _PRODUCTS.split():
        price = random.randrange(350, 8_000, 50)
        for colour in _COLOURS.split():
            units = random.randint(30, 120)
            yield _item(f"{product}-{colour}", units, price + random.choice((0, 0, 150)), "EUR")
    for tea in _TEAS.split():
        yield _item(f"TEA-{tea}", 60, random.randrange(400, 1_600, 25), "GBP")
    for sku, (units, _) in _FEW.items():
        yield _item(sku, units, random.randrange(9_000, 40_000, 500), "EUR")


def _item(sku: str, quantity: int, unit_price_minor: int, currency: str) -> ReceivedItem:
    return ReceivedItem(
        sku=sku, quantity=quantity, unit_price_minor=unit_price_minor, currency=currency
    )


def _orders(stock: Sequence[ReceivedItem], random: Random) -> Iterator[_Wanted]:
    sold = [item for item in stock if item.currency == "EUR" and item.sku not in _FEW]
    yield from _usual(stock, sold, random)
    yield from _unusual(sold, random)


def _some(items: Sequence[ReceivedItem], random: Random) -> tuple[tuple[str, int, int], ...]:
    chosen = random.sample(items, min(len(items), random.choice(_LINES)))
    return tuple((each.sku, random.choice(_UNITS), each.unit_price_minor) for each in chosen)


def _usual(
    stock: Sequence[ReceivedItem], sold: Sequence[ReceivedItem], random: Random
) -> Iterator[_Wanted]:
    abroad = [item for item in stock if item.currency == "GBP"]
    for token, count in _PAYMENTS.items():
        for _ in range(count):
            yield _Wanted(_some(sold, random), token)
    for _ in range(_FROM_ABROAD):
        yield _Wanted(_some(abroad, random), currency="GBP")
    for item in stock:
        if item.sku in _FEW:
            for _ in range(_FEW[item.sku][1]):
                yield _Wanted(((item.sku, 1, item.unit_price_minor),))


def _unusual(sold: Sequence[ReceivedItem], random: Random) -> Iterator[_Wanted]:
    for lines in _LARGE:
        large = random.sample(sold, lines)
        yield _Wanted(tuple((each.sku, 1, each.unit_price_minor) for each in large))
    for _ in range(_OUTDATED):
        first, *others = _some(sold, random)
        yield _Wanted(((first[0], first[1], first[2] - 50), *others))
    for number in range(_UNKNOWN):
        yield _Wanted((*_some(sold, random), (f"FORGOTTEN-{number + 1}", 1, 999)))
    for _ in range(_WRONG_CURRENCY):
        yield _Wanted(_some(sold, random), currency="USD")


def _rows(orders: Sequence[_Wanted]) -> Iterator[OrderRow]:
    for number, order in enumerate(orders, start=1):
        for sku, units, price in order.lines:
            yield OrderRow(
                f"S-{number:04}",
                f"customer-{number:04}",
                sku,
                units,
                price,
                order.currency,
                order.token,
            )


def _write(path: Path, row_type: type[Struct], rows: Iterable[Struct]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, row_type, rows)


if __name__ == "__main__":
    main()
