"""The application at work: freshly loaded for a flow, or shared by the flows of a module."""

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


@pytest.fixture(scope="module")
def busy_shop(assembly: Path) -> Iterator[Shop]:
    """One application for many flows, each of which brings its own items and orders.

    A flow leaves nothing under way, so whatever one of them breaks shows in its own books.
    """
    with Rehearsal(assembly, seed=1) as rehearsal:
        yield Shop(rehearsal)
