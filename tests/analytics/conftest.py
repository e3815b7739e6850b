"""The analytics context on an empty table and an empty stream."""

import pytest

from tests.analytics.context import Analytics
from tests.support.cloud import Cloud


@pytest.fixture
def analytics(cloud: Cloud) -> Analytics:
    """The context, with nothing counted."""
    return Analytics.in_cloud(cloud)
