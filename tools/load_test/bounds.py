"""The bounds of a load test: its rate, its duration, and where it may run."""

import argparse
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from stacks.environment import Environment

LONGEST_S = 15 * 60
"""The longest load without --force, in seconds."""
UTMOST_S = 45 * 60
"""The longest load at all: tokens are valid for an hour, and cleaning up needs them."""

_DURATION = re.compile(r"(?:(\d{1,4})m)?(?:(\d{1,5})s)?")


class Refused(Exception):
    """The load is more than is permitted, or not permitted there."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How many orders come per second, and for how many seconds."""

    rate: float
    seconds: int

    @property
    def orders(self) -> int:
        """The orders in all."""
        return max(1, round(self.rate * self.seconds))


def duration(text: str) -> int:
    """Reads the value of an option such as `90s`, `5m` or `1m30s`, in seconds."""
    found = _DURATION.fullmatch(text)
    seconds = (
        sum(int(part or 0) * unit for part, unit in zip(found.groups(), (60, 1), strict=True))
        if found
        else 0
    )
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write 90s, 5m or 1m30s")
    return seconds


def check(bounds: Bounds, environment: Environment, *, endpoint: str | None, force: bool) -> None:
    """Raises Refused if the load exceeds what the stage is sized for, or could harm others."""
    if endpoint and not is_loopback(endpoint):
        raise Refused(
            f"{endpoint} is not on this machine: name an endpoint on 127.0.0.1, or none to load "
            "the stage in the account of the shell"
        )
    if bounds.seconds > UTMOST_S:
        raise Refused(
            f"{bounds.seconds} s are more than {UTMOST_S}: tokens are valid for an hour; run it "
            "several times"
        )
    reasons = []
    if bounds.rate > environment.orders_per_second:
        reasons.append(
            f"{environment.name} is sized for {environment.orders_per_second} orders per second, "
            f"not {bounds.rate:g}"
        )
    if bounds.seconds > LONGEST_S:
        reasons.append(f"{bounds.seconds} s are more than {LONGEST_S}")
    if environment.keeps_data and not endpoint:
        reasons.append(f"customers of {environment.name} would share it with the load")
    if reasons and not force:
        raise Refused(f"{'; '.join(reasons)}: choose less or, if that is meant, add --force")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
