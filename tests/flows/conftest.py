"""A freshly loaded application for each flow."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal import Rehearsal
from tests.flows.shop import Shop


@pytest.fixture
def shop(assembly: Path) -> Iterator[Shop]:
    """The synthesized application of stage `dev`, in virtual time."""
    with Rehearsal(assembly, seed=1) as rehearsal:
        yield Shop(rehearsal)
