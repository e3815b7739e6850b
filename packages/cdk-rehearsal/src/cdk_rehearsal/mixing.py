"""The time in which an updated function or state machine answers with its old or new version."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """How an application passes from its old to its new version."""

    seconds: float = 0.0
    """The virtual time in which both versions answer."""
    share: float = 0.5
    """The new version's share of the invocations or executions in this time, from 0 to 1."""

    def __post_init__(self) -> None:
        """Raises ValueError for a negative time and for a share that is none."""
        if self.seconds < 0 or not 0 <= self.share <= 1:
            raise ValueError(f"{self}: seconds are at least 0, and a share is from 0 to 1")


AT_ONCE = Mixing()
"""From one moment to the next."""


@dataclass(frozen=True)
class Blend(Generic[T]):
    """Versions that take turns, each with its weight, until a moment of virtual time."""

    parts: Sequence[tuple[T, float]]
    until: float

    def draw(self, random: Random, now: float) -> T | None:
        """Returns the version that answers now; None once only the newest one does."""
        if now >= self.until:
            return None
        versions, weights = zip(*self.parts, strict=True)
        drawn: T = random.choices(versions, weights)[0]
        return drawn
