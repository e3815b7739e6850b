"""Rules of reservations, without AWS."""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.inventory.events import Currency, Minor, Reserved, Sku

CHUNK = 49
"""Items reserved in one transaction: each may need a second operation, to say that it is sold out,
and the reservation and its event need two."""

MAX_UNITS = 10**9


class ReceivedItem(Struct, frozen=True, kw_only=True):
    """Units of one item that come in, and its price from now on; zero units only set the price."""

    sku: Sku
    quantity: Annotated[int, Meta(ge=0, le=MAX_UNITS)]
    unit_price_minor: Minor
    currency: Currency


class State(StrEnum):
    """Where a reservation stands. It never leaves `RELEASED`."""

    RESERVING = "reserving"
    RESERVED = "reserved"
    RELEASING = "releasing"
    RELEASED = "released"


def reserved_items(lines: Iterable[tuple[str, int]]) -> tuple[Reserved, ...]:
    """Units per SKU of an order's (sku, quantity) lines, each SKU once, in a fixed order.

    The fixed order makes large orders for the same items meet at their first chunk, where the loser
    has nothing to give back yet.
    """
    units: Counter[str] = Counter()
    for sku, quantity in lines:
        units[sku] += quantity
    return tuple(Reserved(sku=sku, quantity=units[sku]) for sku in sorted(units))


def chunks(items: Sequence[Reserved]) -> list[Sequence[Reserved]]:
    """The parts of a reservation that fit one transaction each."""
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
