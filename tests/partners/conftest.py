"""The application of stage `prod`, loaded once: each test runs in a fork of it."""

from collections.abc import Iterator, Mapping

import pytest

from cdk_rehearsal import Assembly, Rehearsal
from tests.flows.conftest import pytest_itemcollected
from tests.flows.shop import Shop

__all__ = ["pytest_itemcollected"]


@pytest.fixture(scope="package")
def shop(templates: Mapping[str, Assembly]) -> Iterator[Shop]:
    """The application in virtual time, with the hosts of its partners, and with stock."""
    with Rehearsal(templates["prod"].directory, seed=1) as rehearsal:
        shop = Shop(rehearsal)
        shop.receive({"MUG": 50})
        yield shop
