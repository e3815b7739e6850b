"""Turns: other threads touch the state of a rehearsal only between two of its steps."""

import threading


class Turns:
    """A lock that is taken in turn: a thread that releases it cannot take it again at once.

    The next thread waits in the door, all others behind it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._door = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def __enter__(self) -> None:
        with self._door:
            self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def announce(self) -> None:
        """Wakes the threads that wait for a change; to be called by the thread whose turn it is."""
        self._changed.notify_all()

    def await_change(self, seconds: float) -> bool:
        """Waits up to ``seconds`` of real time; returns whether a change was announced."""
        with self._lock:
            return self._changed.wait(seconds)
