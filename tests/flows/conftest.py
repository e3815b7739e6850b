"""The application, loaded once: each test runs in a fork of it and leaves it unchanged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal
from tests.flows.scenario import Scenario
from tests.flows.shop import Shop
from tests.support.desk import aws_commands
from tests.support.forks import in_a_fork


@pytest.fixture(scope="package")
def shop(assembly: Path) -> Iterator[Shop]:
    """The application of stage `dev` in virtual time, after one scenario has warmed it up.

    It has not run for long, because sales figures take time for each hour since the start.
    """
    with Rehearsal(assembly, seed=1) as rehearsal:
        shop = Shop(rehearsal)
        scenario = Scenario(shop, "first", wait=shop.settle)
        scenario.open()
        scenario.visit()
        shop.assert_books_balance()
        # With it moto imports EC2, which takes longer than most of the tests that use it.
        rehearsal.client("cloudformation").describe_stacks()
        known = len(rehearsal.meter.records)
        yield shop
        assert len(rehearsal.meter.records) == known, "a fixture changed the shop of all tests"


@pytest.fixture(scope="package")
def aws() -> Iterator[str]:
    """The socket of the stand-in for the AWS CLI."""
    with aws_commands() as socket:
        yield socket


def pytest_itemcollected(item: pytest.Item) -> None:
    """Makes each test that needs the shop run in a fork."""
    if not isinstance(item, pytest.Function) or "shop" not in item.fixturenames:
        return
    flow = item.obj

    def in_its_own_shop(**arguments: Any) -> None:
        in_a_fork(lambda: flow(**arguments) or True)

    item.obj = in_its_own_shop
