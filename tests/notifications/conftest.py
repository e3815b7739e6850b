"""The notifications context with an empty table."""

import pytest

from tests.notifications.context import Notifications
from tests.support.cloud import Cloud


@pytest.fixture
def notifications(cloud: Cloud) -> Notifications:
    """The context with an empty table."""
    return Notifications.in_cloud(cloud)
