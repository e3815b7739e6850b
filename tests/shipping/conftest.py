"""The shipping context and its carrier with empty tables."""

import pytest

from tests.shipping.context import Shipping
from tests.support.cloud import Cloud


@pytest.fixture
def shipping(cloud: Cloud) -> Shipping:
    """The context with empty tables."""
    return Shipping.in_cloud(cloud)
