"""Serves a long recording: that of a short one, which is repeated, and goes on at a rate.

Run with a socket's file descriptor, the number of repetitions, and how many a second follow.
"""

import asyncio
import itertools
import socket
import sys
from collections.abc import Awaitable, Callable

from cdk_rehearsal.console import web

_EVERY_S = 0.1
_WIDTH = 6


class LongPage(web.Page):
    """A page whose recording grows without a rehearsal."""

    repetitions: int
    per_second: float

    async def listen(self, ready: Callable[[], Awaitable[object]]) -> None:
        """Takes the short recording first."""

        async def later() -> None:
            pass

        await super().listen(later)
        recording = self._recording
        rows, events = recording.rows[:], recording.type_of_event[:]
        block = rows[:]
        # The rows of all repetitions, without a call for each: only their times differ.
        span = rows[-_WIDTH] - rows[0] + 100
        for number in range(1, self.repetitions):
            for at in range(0, len(block), _WIDTH):
                block[at] = rows[at] + number * span
            recording.rows.extend(block)
            recording.type_of_event.extend(events)
        self._ended = False
        await ready()
        added = 0.0
        size = len(rows) // _WIDTH
        for _ in itertools.count():
            await asyncio.sleep(_EVERY_S)
            if not self._viewers:
                continue
            added += self.per_second * size * _EVERY_S
            while added >= 1:
                added -= 1
                at = (recording.length % size) * _WIDTH
                number = recording.length // size
                row = rows[at : at + _WIDTH]
                row[0] += number * span
                recording.rows.extend(row)
            self._changed.set()


def main() -> None:
    """Serves until the process is killed."""
    descriptor, repetitions, per_second = sys.argv[1:]
    LongPage.repetitions, LongPage.per_second = int(repetitions), float(per_second)
    web.Page = LongPage  # type: ignore[misc]
    asyncio.run(web.serve(socket.socket(fileno=int(descriptor)), None))


if __name__ == "__main__":
    main()
