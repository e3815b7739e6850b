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
    """The log of functions from now on."""
    stream = io.StringIO()
    # Not with setStream, which would flush the previous stream, and that may be closed.
    monkeypatch.setattr(telemetry.logger().registered_handler, "stream", stream)
    return Log(stream)
