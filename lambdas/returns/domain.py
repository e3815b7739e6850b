"""Rules of returns, without AWS."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.returns.events import Words

RETURN_DAYS = 30
"""How long after its delivery an order can be given back."""

_ORDER_ID = re.compile(r"[0-9A-Za-z-]{1,64}")

Moment = Annotated[datetime, Meta(tz=True)]


class State(StrEnum):
    """Where a return stands. `AWAITING` is the only state in which a person can decide."""

    REQUESTED = "requested"
    AWAITING = "awaiting"
    DECIDED = "decided"
    RETURNED = "returned"
    REFUSED = "refused"


class Decision(Struct, frozen=True, kw_only=True):
    """What somebody of the shop says about a return, and why."""

    approved: Annotated[bool, Meta(description="Whether the shop takes the order back")]
    note: Words


NOT_REVIEWED = Decision(approved=False, note="not_reviewed")
"""The decision about a return that nobody looked at, in spite of an alarm. Money is not given back
because of silence: the customer is told, and can complain; a refund could not be taken back."""


def could_be_order(text: str) -> bool:
    """Whether `text` could be the id of an order at all."""
    return bool(_ORDER_ID.fullmatch(text))


def in_time(delivered_at: datetime, now: datetime) -> bool:
    """Whether an order that was delivered then can still be given back."""
    return now - delivered_at <= timedelta(days=RETURN_DAYS)
