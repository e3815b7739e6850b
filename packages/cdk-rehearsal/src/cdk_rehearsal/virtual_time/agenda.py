"""The agenda: calls that are due at virtual times."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

# Cancelled timers that are not worth removing.
_MANY = 1_000


class Timer:
    """A call that is due at a virtual time; ``cancel`` takes it back."""

    __slots__ = ("_agenda", "args", "daemon", "fn", "live", "time")

    def __init__(
        self,
        agenda: Agenda,
        moment: float,
        fn: Callable[..., object],
        args: tuple[Any, ...],
        daemon: bool,
    ) -> None:
        self._agenda = agenda
        self.time = moment
        self.fn = fn
        self.args = args
        self.daemon = daemon
        self.live = True

    def cancel(self) -> None:
        """Takes the call back; without effect once it has run."""
        if self.live:
            self.live = False
            # Releases the arguments before the timer's time comes.
            self.fn, self.args = _nothing, ()
            self._agenda.forget(self)


def _nothing() -> None:
    """What a cancelled timer calls."""


class Agenda:
    """Timers in the order of (virtual time, sequence number)."""

    def __init__(self) -> None:
        self.work = 0
        """The number of timers that are no daemons."""
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._cancelled = 0

    def add(
        self, moment: float, fn: Callable[..., object], args: tuple[Any, ...], daemon: bool
    ) -> Timer:
        """Plan a call."""
        timer = Timer(self, moment, fn, args, daemon)
        self._sequence += 1
        heapq.heappush(self._heap, (moment, self._sequence, timer))
        if not daemon:
            self.work += 1
        return timer

    def next_time(self) -> float | None:
        """Returns the time of the next call; None if there is none."""
        heap = self._heap
        while heap:
            moment, _, timer = heap[0]
            if timer.live:
                return moment
            heapq.heappop(heap)
            self._cancelled -= 1
        return None

    def pop(self) -> Timer:
        """Removes the next call, of which ``next_time`` has given the time, and returns it."""
        timer = heapq.heappop(self._heap)[2]
        timer.live = False
        if not timer.daemon:
            self.work -= 1
        return timer

    def forget(self, timer: Timer) -> None:
        """Counts a cancelled timer; removes all of them from time to time.

        Most timers are cancelled long before their time: they are deadlines that nothing misses.
        """
        if not timer.daemon:
            self.work -= 1
        self._cancelled += 1
        if self._cancelled > _MANY and self._cancelled > len(self._heap) // 2:
            self._heap[:] = [entry for entry in self._heap if entry[2].live]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def clear(self) -> None:
        """Removes all timers."""
        self._heap.clear()
        self.work = self._cancelled = 0

    def due(self) -> list[Timer]:
        """Returns the timers that count as work, in their order."""
        return [entry[2] for entry in sorted(self._heap) if entry[2].live and not entry[2].daemon]
