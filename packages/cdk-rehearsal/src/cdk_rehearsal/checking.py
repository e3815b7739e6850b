"""Finds everything in an assembly that cannot be rehearsed."""

from pathlib import Path
from typing import Any

from cdk_rehearsal.errors import LoadingError, Unsupported
from cdk_rehearsal.rehearsal import Rehearsal
from cdk_rehearsal.selection import environment


def check(directory: Path) -> list[Unsupported]:
    """Returns everything in an assembly that cannot be rehearsed; empty if all of it can.

    Raises RehearsalError if the directory is no cloud assembly, or if its stacks are for several
    accounts or regions.
    """
    options: dict[str, Any] = environment(directory)
    rehearsal = Rehearsal(directory, **options)
    problems: list[Unsupported] = []
    try:
        with rehearsal:
            pass
    except LoadingError as error:
        problems = error.problems
    return problems
