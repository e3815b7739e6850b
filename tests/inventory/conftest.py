"""The inventory context with an empty table."""

import pytest

from tests.inventory.context import Inventory
from tests.support.cloud import Cloud


@pytest.fixture
def inventory(cloud: Cloud) -> Inventory:
    """The context with an empty table."""
    return Inventory.in_cloud(cloud)


@pytest.fixture
def chunks_of_two(cloud: Cloud) -> None:
    """Splits small orders into several transactions, as large ones are."""
    cloud.monkeypatch.setattr("lambdas.inventory.domain.CHUNK", 2)
