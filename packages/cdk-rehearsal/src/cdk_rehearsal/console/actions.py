"""What an application adds to the page: a button with its effect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Action:
    """A button of the page. `run` is called between two steps of the rehearsal.

    It returns an `Outcome` as plain values: `text`, `good`, and perhaps `rows` of a table.
    """

    name: str
    says: str
    run: Callable[[], dict[str, Any]]
