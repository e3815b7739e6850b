"""The inventory context on an empty table."""

import pytest

from tests.inventory.context import Inventory
from tests.support.cloud import Cloud


@pytest.fixture
def inventory(cloud: Cloud) -> Inventory:
    """The context, with nothing in its table."""
    return Inventory.in_cloud(cloud)


@pytest.fixture
def chunks_of_two(cloud: Cloud) -> None:
    """Makes small orders take several transactions, as large ones do."""
    cloud.monkeypatch.setattr("lambdas.inventory.domain.CHUNK", 2)
