"""The pace of virtual time: that of real time, except for long waits, or the one a viewer chose."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from cdk_rehearsal import Rehearsal

_STEP_S = 0.05
_LONG_STEP_S = 1.0
_HOUR_S = 3600.0
_QUIET_S = 0.2
"""Virtual seconds without a record after which the rest of a wait is skipped."""

_monotonic = time.monotonic


class Viewer(Protocol):
    """What the console's viewer wants. See `cdk_rehearsal.console.Console`."""

    speed: float
    skips_quiet: bool
    changes: int

    def tick(self) -> None:
        """Shows what has happened. Waits while the viewer pauses."""


class _Nobody:
    speed, skips_quiet, changes = 1.0, True, 0

    def tick(self) -> None:
        pass


class Pace:
    """Runs a rehearsal in short steps of real time. Does not change what happens.

    If `hurried`, never waits.
    """

    def __init__(
        self, shop: Rehearsal, *, hurried: bool = False, viewer: Viewer | None = None
    ) -> None:
        self._shop = shop
        self._hurried = hurried
        self._viewer = viewer or _Nobody()
        self._haste = 1.0
        self._records = 0
        self._busy = shop.clock.now()
        self._start()

    def step(self) -> None:
        """Runs a short step of virtual time."""
        viewer = self._viewer
        quiet = self._shop.clock.now() - self._busy > _QUIET_S and viewer.skips_quiet
        self._shop.run_for(_LONG_STEP_S if quiet else _STEP_S * min(max(self._speed, 0.1), 20))
        if len(self._shop.meter.records) > self._records:
            self._records = len(self._shop.meter.records)
            self._busy = self._shop.clock.now()
        self.tick()
        if quiet:
            self._start()
        else:
            self._wait()

    @contextmanager
    def hastened(self, times: float) -> Iterator[None]:
        """Is faster within the block, by a factor."""
        self._haste = times
        self._start()
        try:
            yield
        finally:
            self._haste = 1.0
            self._start()

    def tick(self) -> None:
        """Lets the viewer see what has happened, and change the pace."""
        self._viewer.tick()
        if self._viewer.changes != self._changes:
            self._start()

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
            self.tick()
            after_each()
        self._start()

    def hold(self) -> None:
        """Runs in real time until Ctrl-C."""
        self._start()
        try:
            while True:
                self._shop.run_for(_STEP_S)
                self.tick()
                self._wait()
        except KeyboardInterrupt:
            return

    def stay(self) -> None:
        """Steps until Ctrl-C."""
        self._start()
        try:
            while True:
                self.step()
        except KeyboardInterrupt:
            return

    @property
    def _speed(self) -> float:
        return self._viewer.speed * self._haste

    def _start(self) -> None:
        self._changes = self._viewer.changes
        self._origin = (self._shop.clock.now(), _monotonic())

    def _wait(self) -> None:
        virtual, real = self._origin
        ahead = (self._shop.clock.now() - virtual) / self._speed - (_monotonic() - real)
        if ahead > 0 and not self._hurried:
            _pause(ahead)


def _pause(seconds: float) -> None:
    """Waits in real time: the rehearsal has replaced `time.sleep`."""
    threading.Event().wait(seconds)
