"""Patterns in which orders arrive: a step, a spike, and a day."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import pi, sin
from random import Random

_MINUTE_S, _DAY_S = 60.0, 86_400.0


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Orders per second over time. Times are seconds since the start."""

    name: str
    rate: float
    """Orders per second before the overload; of a day, the mean."""
    factor: float
    """How many times as many come in the overload, or at the peak of a day."""
    start_s: float
    """When the overload starts."""
    end_s: float
    """When it ends."""
    until_s: float

    def at(self, time: float) -> float:
        """Returns the orders per second at a time."""
        if self.name == "day":
            # From midnight; the peak is at 18 hours, the lowest rate at 6.
            swing = self.factor - 1
            return self.rate * (1 - swing * sin(2 * pi * time / _DAY_S))
        return self.rate * (self.factor if self.start_s <= time < self.end_s else 1.0)

    def arrivals(self, seed: int) -> Iterator[float]:
        """Yields the times of orders that come independently of each other."""
        random, time, most = Random(seed), 0.0, self.rate * self.factor
        while (time := time + random.expovariate(most)) < self.until_s:
            if random.random() * most < self.at(time):
                yield time


def step(rate: float, factor: float) -> Pattern:
    """Returns five quiet minutes, and 25 minutes of overload that does not end."""
    return _pattern("step", rate, factor, end=30, until=30)


def spike(rate: float, factor: float) -> Pattern:
    """Returns an overload of five minutes, with five quiet minutes before and 50 after it."""
    return _pattern("spike", rate, factor, end=10, until=60)


def day(rate: float, factor: float) -> Pattern:
    """Returns a day, with its peak in the evening. Its factor is at most 2: the rest is night.

    The overload is the half of the day with more than the mean rate.
    """
    most = min(factor, 2.0)
    return Pattern(
        name="day",
        rate=rate,
        factor=most,
        start_s=_DAY_S / 2,
        end_s=_DAY_S,
        until_s=1.25 * _DAY_S,
    )


def _pattern(name: str, rate: float, factor: float, *, end: float, until: float) -> Pattern:
    return Pattern(
        name=name,
        rate=rate,
        factor=factor,
        start_s=5 * _MINUTE_S,
        end_s=end * _MINUTE_S,
        until_s=until * _MINUTE_S,
    )


PATTERNS: dict[str, Callable[[float, float], Pattern]] = {
    each.__name__: each for each in (step, spike, day)
}
"""The patterns by name, made from a rate and a factor."""
