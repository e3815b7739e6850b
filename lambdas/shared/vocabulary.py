"""Money and ids, as they stand in events, request bodies and answers of every context."""

import re
from enum import StrEnum
from typing import Annotated, TypeVar

from msgspec import Meta

Currency = Annotated[
    str,
    Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217 code", examples=["EUR"]),
]

MAX_MINOR = 10**12
"""The largest amount of money, in minor units."""

Minor = Annotated[
    int,
    Meta(ge=0, le=MAX_MINOR, description="Money in minor units (cents)", examples=[1250]),
]

SYNTHETIC_ITEMS = "SYNTHETIC-"
"""The beginning of the SKUs of items that only synthetic orders can have, and no others."""

OrderId = Annotated[
    str, Meta(description="The order", examples=["7d1f0c52-5a6b-5c3d-9e21-0b9a4f6c8e13"])
]

CustomerId = Annotated[
    str,
    Meta(
        description="The customer, as the user pool calls them",
        examples=["c0a8f2de-3b71-4d5e-9f06-1e2d3c4b5a69"],
    ),
]

Code = TypeVar("Code", bound=StrEnum)


def code_or(text: str, otherwise: Code) -> Code:
    """Returns the code with this text, of the same list as `otherwise`, or else `otherwise`."""
    codes = type(otherwise)
    return codes(text) if text in {code.value for code in codes} else otherwise


_ORDER_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_order_id(text: str) -> bool:
    """Whether `text` has the form of an order id: a UUID in lower case."""
    return bool(_ORDER_ID.fullmatch(text))
