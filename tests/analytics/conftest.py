"""The analytics context with an empty table and an empty stream."""

import pytest

from tests.analytics.context import Analytics
from tests.support.cloud import Cloud


@pytest.fixture
def analytics(cloud: Cloud) -> Analytics:
    """The context without any counted event."""
    return Analytics.in_cloud(cloud)
