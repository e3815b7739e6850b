"""The shift of an alias's traffic from one version to another, in steps and watched by alarms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MINUTE_S = 60.0
"""The virtual time between two looks at the alarms, which CloudWatch evaluates once a minute."""

Shift = Iterator[None]
"""A shift that goes on: its next step is due a minute after the last one."""


class ShiftStopped(Exception):
    """A shift has ended before all traffic was shifted. Its stack is to be rolled back."""


@dataclass(frozen=True)
class Increments:
    """The shares of the traffic that a new version gets, one after the other.

    Without a percentage, it gets all at once.
    https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
    """

    percentage: int = 100
    minutes: int = 0
    """The minutes before the next increment."""
    is_canary: bool = True
    """Whether the second increment is the rest. Otherwise, all increments are equal."""

    def shares(self) -> Iterator[tuple[float, int]]:
        """Yields each share of the new version, and the minutes that it lasts."""
        share = self.percentage
        while share < 100:
            yield share / 100, self.minutes
            share = 100 if self.is_canary else share + self.percentage
        yield 1.0, 0


def shift(
    increments: Increments, move: Callable[[float], None], firing: Callable[[], Sequence[str]]
) -> Shift:
    """Shifts traffic to a new version.

    `move` gives the new version a share of the traffic, and `firing` returns the names of the
    alarms in the state ALARM. Raises ShiftStopped if there are any, at the start, too. The
    rollback of the stack then moves the traffic back.
    """
    _require_quiet(firing())
    for share, minutes in increments.shares():
        move(share)
        for _ in range(minutes):
            yield
            _require_quiet(firing())


def _require_quiet(firing: Sequence[str]) -> None:
    if firing:
        raise ShiftStopped(f"in the state ALARM: {', '.join(firing)}")
