"""Finds everything in an assembly that cannot be rehearsed."""

from pathlib import Path
from typing import Any

from cdk_rehearsal.errors import LoadingError, Unsupported
from cdk_rehearsal.rehearsal import Rehearsal
from cdk_rehearsal.selection import environment


def check(directory: Path, **options: Any) -> list[Unsupported]:
    """Returns everything in an assembly that cannot be rehearsed; empty if all of it can.

    ``options`` are those of `Rehearsal`, such as ``stubs`` and ``stand_ins``. Raises
    RehearsalError if the directory is no cloud assembly, or if its stacks are for several accounts
    or regions.
    """
    options = {**environment(directory), **options}
    rehearsal = Rehearsal(directory, **options)
    problems: list[Unsupported] = []
    try:
        with rehearsal:
            pass
    except LoadingError as error:
        problems = error.problems
    from cdk_rehearsal.services.http_api import unsupported

    return [*problems, *unsupported(rehearsal.resources)]
