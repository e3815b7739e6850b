"""The pace: virtual time goes no faster than a clock on the wall, but for waits that are long."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from cdk_rehearsal import Rehearsal

_STEP_S = 0.05
_LONG_STEP_S = 1.0
_HOUR_S = 3600.0
_QUIET_S = 0.2
"""Virtual seconds without any event after which there is nothing to watch: the rest is skipped."""

_monotonic = time.monotonic


class Pace:
    """Runs a rehearsal in short steps, so that somebody can watch, and does not wait for nothing.

    What happens is the same as without it: it decides about the time on the wall only.
    """

    def __init__(self, shop: Rehearsal, *, hurried: bool = False) -> None:
        """With `hurried` it waits for nothing: virtual time goes as fast as it can."""
        self._shop = shop
        self._hurried = hurried
        self._records = 0
        self._busy = shop.clock.now()
        self._start()

    def step(self) -> None:
        """Runs what is due in the next instant of virtual time."""
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
        """Steps until `done`, calling `after_each` step."""
        while not done():
            self.step()
            after_each()

    def skip(self, duration: timedelta, after_each: Callable[[], None]) -> None:
        """Lets `duration` of virtual time pass without waiting for it, an hour at a time."""
        end = self._shop.clock.now() + duration.total_seconds()
        while self._shop.clock.now() < end:
            self._shop.run_for(min(_HOUR_S, end - self._shop.clock.now()))
            after_each()
        self._start()

    def hold(self) -> None:
        """Goes on with nothing skipped, for whoever looks in or sends something, until Ctrl-C."""
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
    """Waits on the wall; the rehearsal has replaced `time.sleep`."""
    threading.Event().wait(seconds)
