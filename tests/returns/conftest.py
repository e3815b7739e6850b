"""The returns context with an empty table."""

import pytest

from tests.returns.context import Returns
from tests.support.cloud import Cloud


@pytest.fixture
def returns(cloud: Cloud) -> Returns:
    """The context with an empty table."""
    return Returns.in_cloud(cloud)
