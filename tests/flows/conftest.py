"""The application at work, loaded once: each flow is a fork of it, and leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal
from tests.flows.shop import Shop
from tests.flows.story import Story
from tests.support.forks import in_a_fork


@pytest.fixture(scope="package")
def shop(assembly: Path) -> Iterator[Shop]:
    """The synthesized application of stage `dev`, in virtual time, and warm: it told one story.

    It has not been open for long: what the staff is shown of each hour since then takes its time.
    """
    with Rehearsal(assembly, seed=1) as rehearsal:
        shop = Shop(rehearsal)
        story = Story(shop, "first", wait=shop.settle)
        story.open()
        story.visit()
        shop.assert_books_balance()
        yield shop


def pytest_itemcollected(item: pytest.Item) -> None:
    """Has each test that needs the shop run in a fork."""
    if not isinstance(item, pytest.Function) or "shop" not in item.fixturenames:
        return
    flow = item.obj

    def in_its_own_shop(**arguments: Any) -> None:
        in_a_fork(lambda: flow(**arguments) or True)

    item.obj = in_its_own_shop
