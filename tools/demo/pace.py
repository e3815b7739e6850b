"""The pace of virtual time: that of real time, except for long waits."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from cdk_rehearsal import Rehearsal

_STEP_S = 0.05
_LONG_STEP_S = 1.0
_HOUR_S = 3600.0
_QUIET_S = 0.2
"""Virtual seconds without a record after which the rest of a wait is skipped."""

_monotonic = time.monotonic


class Pace:
    """Runs a rehearsal in short steps of real time. Does not change what happens.

    If `hurried`, never waits.
    """

    def __init__(self, shop: Rehearsal, *, hurried: bool = False) -> None:
        self._shop = shop
        self._hurried = hurried
        self._records = 0
        self._busy = shop.clock.now()
        self._start()

    def step(self) -> None:
        """Runs a short step of virtual time."""
        quiet = self._shop.clock.now() - self._busy > _QUIET_S
        self._shop.run_for(_LONG_STEP_S if quiet else _STEP_S)
        if len(self._shop.meter.records) > self._records:
            self._records = len(self._shop.meter.records)
            self._busy = self._shop.clock.now()
        if quiet:
            self._start()
        else:
            self._wait()

    def run_until(self, done: Callable[[], bool], after_each: Callable[[], None]) -> None:
        """Steps until `done`. Calls `after_each` step."""
        while not done():
            self.step()
            after_each()

    def skip(self, duration: timedelta, after_each: Callable[[], None]) -> None:
        """Skips virtual time, an hour at a time."""
        end = self._shop.clock.now() + duration.total_seconds()
        while self._shop.clock.now() < end:
            self._shop.run_for(min(_HOUR_S, end - self._shop.clock.now()))
            after_each()
        self._start()

    def hold(self) -> None:
        """Runs in real time until Ctrl-C."""
        self._start()
        try:
            while True:
                self._shop.run_for(_STEP_S)
                self._wait()
        except KeyboardInterrupt:
            return

    def _start(self) -> None:
        self._origin = self._shop.clock.now() - _monotonic()

    def _wait(self) -> None:
        ahead = self._shop.clock.now() - _monotonic() - self._origin
        if ahead > 0 and not self._hurried:
            _pause(ahead)


def _pause(seconds: float) -> None:
    """Waits in real time: the rehearsal has replaced `time.sleep`."""
    threading.Event().wait(seconds)
