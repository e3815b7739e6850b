"""Rates: buckets of tokens, and the rates of an account that the table of limits has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from cdk_rehearsal.limits import LIMITS, TABLE

_SECONDS = {"second": 1, "10 seconds": 10, "day": 86_400}


class Bucket:
    """A bucket of tokens, which holds ``burst`` and fills by ``rate`` in a second."""

    def __init__(self, rate: Any, burst: Any, now: Callable[[], float]) -> None:
        """Without a rate there is no limit; without a burst it is the rate."""
        self._rate = inf if rate is None else float(rate)
        self._burst = self._rate if burst is None else float(burst)
        self._tokens, self._now, self._at = self._burst, now, now()

    def take(self, amount: int = 1) -> bool:
        """Takes tokens, if there are enough."""
        if not self.has(amount):
            return False
        self._tokens -= amount
        return True

    def has(self, amount: int) -> bool:
        """Whether there are enough tokens."""
        if self._rate == inf:
            return True
        self._fill()
        return self._tokens >= amount

    def reserve(self) -> float:
        """Takes a token, even one that is not there yet; returns the seconds until it is."""
        self._fill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    def _fill(self) -> None:
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now


class Window:
    """A number within any period."""

    def __init__(self, most: int, seconds: float, now: Callable[[], float]) -> None:
        self._most, self._seconds, self._now = most, seconds, now
        self._taken = deque[float]()

    def take(self, amount: int = 1) -> bool:
        """Counts an amount, if it is within the number."""
        now = self._now()
        while self._taken and self._taken[0] <= now - self._seconds:
            self._taken.popleft()
        if len(self._taken) + amount > self._most:
            return False
        self._taken.extend([now] * amount)
        return True


class Rates:
    """The rates of the account: each has a bucket of its own, or one for each resource."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._windows: dict[str, Window] = {}

    def take(self, limit: str, amount: int = 1, *, of: str = "") -> bool:
        """Whether a rate, of a resource or of all, has room for an amount, which then counts."""
        most = LIMITS[limit]
        if TABLE[limit].per != "day":
            return self._bucket(limit, of).take(amount)
        if limit not in self._windows:
            self._windows[limit] = Window(most, _SECONDS["day"], self._now)
        return self._windows[limit].take(amount)

    def take_all(self, amounts: Iterable[tuple[str, str, int]]) -> bool:
        """Whether several rates have room, each of a resource for an amount; then all count."""
        buckets = [(self._bucket(limit, of), amount) for limit, of, amount in amounts]
        if not all(bucket.has(amount) for bucket, amount in buckets):
            return False
        return all(bucket.take(amount) for bucket, amount in buckets)

    def wait(self, limit: str) -> float:
        """Returns the seconds by which a rate delays what comes now."""
        return self._bucket(limit, "").reserve()

    def _bucket(self, limit: str, of: str) -> Bucket:
        if (limit, of) not in self._buckets:
            row, most = TABLE[limit], LIMITS[limit]
            seconds = _SECONDS[row.per or "second"]
            burst = most if row.burst is None else row.burst * most / row.value
            self._buckets[limit, of] = Bucket(most / seconds, burst, self._now)
        return self._buckets[limit, of]
