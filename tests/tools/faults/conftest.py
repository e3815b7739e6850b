"""An open shop, of which each test uses a fork. It closes before other tests begin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.assemblies import assembly_directory
from tools.faults import matrix
from tools.faults.matrix import Baseline, baselines
from tools.faults.shop import RehearsedShop

SCENARIO = "cancelled"


@pytest.fixture(scope="package")
def open_shop(shared_directory: Path) -> Iterator[RehearsedShop]:
    """A shop of `prod` that is open for business."""
    with matrix.open_shop(assembly_directory("prod", shared_directory), warm_up=()) as shop:
        yield shop


@pytest.fixture(scope="package")
def baseline(open_shop: RehearsedShop) -> Baseline:
    """A cancellation without a fault."""
    (baseline,) = baselines(open_shop, at_once=1, names=[SCENARIO])
    return baseline
