"""The privacy context with an empty table."""

import pytest

from tests.privacy.context import Privacy
from tests.support.cloud import Cloud


@pytest.fixture
def privacy(cloud: Cloud) -> Privacy:
    """The context with an empty table and an empty user pool."""
    return Privacy.in_cloud(cloud)
