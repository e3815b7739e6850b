"""The tests that cross a limit: each names its rows of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cdk_rehearsal.limits import TABLE

CROSSED: set[str] = set()
"""The limits that a test crosses."""

Test = TypeVar("Test", bound=Callable[..., Any])


def crosses(*limits: str) -> Callable[[Test], Test]:
    """Says which limits a test crosses; KeyError if the table does not have one."""
    for limit in limits:
        if limit not in TABLE:
            raise KeyError(f"limits.toml has no row {limit}")
        CROSSED.add(limit)
    return lambda test: test
