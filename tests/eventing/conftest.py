"""Fixtures of the kernel's tests."""

import pytest

from tests.eventing.sample import SETTINGS
from tests.support.cloud import Cloud, Queue, Table


@pytest.fixture
def ledger(cloud: Cloud) -> Table:
    """The table of the sample context."""
    return cloud.table(SETTINGS.table_name)


@pytest.fixture
def parking(cloud: Cloud) -> Queue:
    """The dead-letter queue of the sample context's consumer."""
    queue = cloud.queue("parking")
    cloud.configure({"DEAD_LETTER_QUEUE_URL": queue.url})
    return queue
