"""An open shop with both buses, of which each test uses a fork. It closes before other tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.faults import matrix
from tools.faults.shop import RehearsedShop


@pytest.fixture(scope="package")
def shop(both_buses: Path) -> Iterator[RehearsedShop]:
    """A shop that is open for business, on the classic bus."""
    with matrix.open_shop(both_buses, warm_up=()) as shop:
        yield shop
