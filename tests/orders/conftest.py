"""The orders context with empty tables."""

import pytest

from lambdas.orders.order_store import BY_CUSTOMER
from tests.orders.context import SETTINGS, Orders
from tests.support.cloud import Cloud


@pytest.fixture
def orders(cloud: Cloud) -> Orders:
    """The context with an empty table."""
    table = cloud.table(SETTINGS.table_name, pending_index=True, listing=BY_CUSTOMER)
    parking = cloud.queue("parking")
    cloud.configure({**SETTINGS.as_environment(), "DEAD_LETTER_QUEUE_URL": parking.url})
    return Orders(table, cloud.vault(), parking)
