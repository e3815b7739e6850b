"""The virtual clock, and the interpreter's view of it."""

import os
import time
from datetime import datetime

import time_machine

from cdk_rehearsal.errors import RehearsalError


class Clock:
    """The virtual clock that ``time.time()`` and ``datetime.now()`` read while it is started."""

    def __init__(self, start: datetime) -> None:
        """Begins at ``start``, which must be timezone-aware."""
        if start.tzinfo is None:
            raise RehearsalError(
                f"the start of the clock, {start!r}, has no time zone: give an aware datetime"
            )
        self._now = start.timestamp()
        self._ahead_s = 0.0
        self._travel: time_machine.travel | None = None
        self._traveller: time_machine.Traveller | None = None
        self._time_zone: str | None = None

    def now(self) -> float:
        """Returns the virtual time in seconds since the epoch."""
        return self._now

    def start(self) -> None:
        """Makes the whole interpreter see virtual time, in UTC as Lambda does."""
        self._time_zone = os.environ.get("TZ")
        os.environ["TZ"] = "UTC"
        time.tzset()
        self._travel = time_machine.travel(self._now, tick=False)
        self._traveller = self._travel.start()

    def stop(self) -> None:
        """Makes the interpreter see real time again."""
        if self._travel is None:
            return
        self._travel.stop()
        self._travel = self._traveller = None
        if self._time_zone is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = self._time_zone
        time.tzset()

    def move_to(self, moment: float) -> None:
        """Sets the virtual time, in seconds since the epoch."""
        self._now = moment
        self.show(self._ahead_s)

    def show(self, ahead_s: float = 0.0) -> None:
        """Makes the interpreter see the virtual time, or one that is ``ahead_s`` seconds ahead."""
        self._ahead_s = ahead_s
        if self._traveller is not None:
            self._traveller.move_to(self._now + ahead_s)
