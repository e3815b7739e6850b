"""An open shop, of which every test forks its own. It is closed before other tests begin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.faults.matrix import Usual, opened, usual
from tools.faults.shop import Shop

STORY = "cancelled"


@pytest.fixture(scope="package")
def open_shop(assembly: Path) -> Iterator[Shop]:
    """A shop to which nothing has happened but that it was opened."""
    with opened(assembly, warm=()) as shop:
        yield shop


@pytest.fixture(scope="package")
def tale(open_shop: Shop) -> Usual:
    """What happens usually if a customer cancels an order."""
    (tale,) = usual(open_shop, at_once=1, names=[STORY])
    return tale
