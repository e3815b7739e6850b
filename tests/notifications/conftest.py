"""The notifications context on an empty table."""

import pytest

from tests.notifications.context import Notifications
from tests.support.cloud import Cloud


@pytest.fixture
def notifications(cloud: Cloud) -> Notifications:
    """The context, with nothing in its table."""
    return Notifications.in_cloud(cloud)
