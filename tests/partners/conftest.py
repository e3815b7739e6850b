"""The application of stage `prod`, loaded once: each test runs in a fork of it."""

from collections.abc import Iterator, Mapping

import pytest

from cdk_rehearsal import Assembly, Rehearsal
from tests.flows.conftest import pytest_itemcollected
from tests.flows.shop import Shop
from tools.demo import schedules

__all__ = ["pytest_itemcollected"]


@pytest.fixture(scope="package")
def shop(templates: Mapping[str, Assembly]) -> Iterator[Shop]:
    """The application in virtual time, with the hosts of its partners, and with stock.

    It has no canary, whose orders end before a partner is asked, and of which a month has 1,440.
    """
    with Rehearsal(templates["prod"].directory, seed=1) as rehearsal:
        schedules.disable(rehearsal, schedules.CANARY)
        shop = Shop(rehearsal)
        shop.receive({"MUG": 50})
        yield shop
