"""Prices of AWS: one file for each region, each price with its page and the day it was read."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec

from cdk_rehearsal.errors import RehearsalError

_FILES = Path(__file__).parent


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of a unit."""

    says: str
    """The unit."""
    service: str
    """The service that bills it."""
    usd: float
    page: str
    read: date
    """The day on which the page was read."""
    free: int = 0
    """Units that an account has for nothing each month."""


def prices(region: str) -> Mapping[str, Price]:
    """Returns the prices of a region by name. Raises RehearsalError if there are none."""
    file = _FILES / f"{region}.toml"
    known = sorted(each.stem for each in _FILES.glob("*.toml"))
    if region not in known:
        raise RehearsalError(f"there are no prices of {region!r}: choose one of {', '.join(known)}")
    return msgspec.toml.decode(file.read_bytes(), type=dict[str, Price])
