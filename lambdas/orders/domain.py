"""Rules of orders, without AWS."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from uuid import UUID, uuid5

from lambdas.orders.events import Line

_ORDERS = UUID("9c0f2a1e-6f0b-5f0e-9d55-0d6a3b1c7f42")

_ORDER_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Status(StrEnum):
    """Where an order stands. `PLACED` is the only one that checkout may decide about."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


CANCELLABLE = frozenset({Status.PLACED, Status.CONFIRMED})


@dataclass(frozen=True)
class Price:
    """What an item costs, in minor units."""

    unit_price_minor: int
    currency: str


def order_id_for(customer_id: str, idempotency_key: str) -> str:
    """The id of the order that a request is about: the same for each repetition of the request.

    So a request cannot place two orders, whenever it is repeated.
    """
    return str(uuid5(_ORDERS, f"{len(customer_id)}:{customer_id}:{idempotency_key}"))


def is_order_id(text: str) -> bool:
    """Whether `text` could be the id of an order at all."""
    return bool(_ORDER_ID.fullmatch(text))


def fingerprint(body: bytes | str) -> str:
    """Tells two request bodies apart."""
    return sha256(body.encode() if isinstance(body, str) else body).hexdigest()


def total_minor(lines: Iterable[Line]) -> int:
    """What the lines cost together, in minor units."""
    return sum(line.quantity * line.unit_price_minor for line in lines)


def unknown_skus(lines: Iterable[Line], prices: Mapping[str, Price]) -> list[str]:
    """SKUs that the price list does not have."""
    return sorted({line.sku for line in lines if line.sku not in prices})


def outdated_lines(
    lines: Iterable[Line], currency: str, prices: Mapping[str, Price]
) -> dict[str, Price]:
    """The current price of each item that the customer saw at another one."""
    return {
        line.sku: prices[line.sku]
        for line in lines
        if prices[line.sku] != Price(line.unit_price_minor, currency)
    }
