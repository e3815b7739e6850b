"""A check of the books: two figures that have to agree."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """Two figures that have to agree, and what does not: which item, and where to look."""

    what: str
    left: str
    right: str
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether there is nothing to say against it."""
        return not self.faults


def check(what: str, left: str, right: str, faults: Iterable[str]) -> Check:
    """A check out of its figures and of whatever finds faults."""
    return Check(what, left, right, tuple(faults))
