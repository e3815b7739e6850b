"""The pace: whether virtual time passes at once, or no faster than real time."""

import time
from typing import Literal

from cdk_rehearsal.virtual_time.clock import Clock
from cdk_rehearsal.virtual_time.turns import Turns

Pace = Literal["virtual", "real"]

# The function of the real world, kept before the clock starts.
_monotonic = time.monotonic


class Pacer:
    """Moves the clock, and at real pace waits first."""

    def __init__(self, pace: Pace, clock: Clock, turns: Turns) -> None:
        self.is_real = pace == "real"
        self._clock = clock
        self._turns = turns
        self._pin: tuple[float, float] | None = None

    def start(self) -> None:
        """Ties virtual time to real time; without effect when done a second time."""
        if self._pin is None:
            self._pin = (_monotonic(), self._clock.now())

    def reach(self, moment: float) -> bool:
        """Moves the clock to ``moment``; returns False if another thread has a change first."""
        if self.is_real and self._pin is not None:
            wall, virtual = self._pin
            ahead = (moment - virtual) - (_monotonic() - wall)
            if ahead > 0 and self._turns.await_change(ahead):
                return False
        self._clock.move_to(moment)
        return True
