"""Finds everything in an assembly that cannot be rehearsed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdk_rehearsal.errors import LoadingError, Unsupported
from cdk_rehearsal.rehearsal import Rehearsal
from cdk_rehearsal.selection import environment
from cdk_rehearsal.stand_ins import StandIn
from cdk_rehearsal.topology import Exceeded


@dataclass(frozen=True)
class Loaded:
    """What an attempt to load an assembly shows."""

    problems: Sequence[Unsupported]
    """Everything that cannot be rehearsed, limits that are exceeded among it."""
    stand_ins: Sequence[StandIn]
    """What stands for code and values that are not in the assembly."""

    @property
    def exceeded(self) -> Sequence[Exceeded]:
        """The limits of AWS that templates exceed."""
        return [each for each in self.problems if isinstance(each, Exceeded)]

    @property
    def unsupported(self) -> Sequence[Unsupported]:
        """The other problems."""
        return [each for each in self.problems if not isinstance(each, Exceeded)]


def check(directory: Path, **options: Any) -> list[Unsupported]:
    """Returns everything in an assembly that cannot be rehearsed; empty if all of it can.

    ``options`` are those of `Rehearsal`, such as ``stubs`` and ``stand_ins``. Raises
    RehearsalError if the directory is no cloud assembly, or if its stacks are for several accounts
    or regions.
    """
    return [*loaded(directory, **options).problems]


def loaded(directory: Path, **options: Any) -> Loaded:
    """Loads an assembly, and returns what that shows; raises as `check` does."""
    rehearsal = Rehearsal(directory, **{**environment(directory), **options})
    problems: list[Unsupported] = []
    try:
        with rehearsal:
            pass
    except LoadingError as error:
        problems = error.problems
    return Loaded(problems, rehearsal.stand_ins)
