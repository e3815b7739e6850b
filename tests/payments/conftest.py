"""The payments context and its provider with empty tables."""

import pytest

from tests.payments.context import Payments
from tests.support.cloud import Cloud


@pytest.fixture
def payments(cloud: Cloud) -> Payments:
    """The context with empty tables."""
    return Payments.in_cloud(cloud)
