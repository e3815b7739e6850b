"""Fixtures of the kernel's tests."""

import io

import pytest

from lambdas.eventing import telemetry
from tests.eventing.sample import SETTINGS
from tests.support.cloud import Cloud, Queue, Table
from tests.support.telemetry import Log


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


@pytest.fixture
def log(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Log:
    """What functions log from now on."""
    stream = io.StringIO()
    # Set, not exchanged, which would flush the one before: that may be closed by now.
    monkeypatch.setattr(telemetry.logger().registered_handler, "stream", stream)
    return Log(stream)
