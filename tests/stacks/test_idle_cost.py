"""What a stage costs while nobody uses it, as documents state it."""

import re
from collections.abc import Mapping

import pytest

from cdk_rehearsal import Assembly, idle_bill, prices
from stacks.environment import BusKind, Environment
from tests.support.documents import content

PAGES = ("README.md", "docs/how-to/deploy.md", "docs/explanation/how-an-order-flows.md")


@pytest.mark.parametrize("page", PAGES)
def test_documents_state_what_an_idle_stage_costs(
    templates: Mapping[str, Assembly], page: str, bus_kind: BusKind | None
) -> None:
    """The figures are those of the default kind of bus."""
    if bus_kind not in (None, Environment.bus):
        pytest.skip("the documents have the figures of the default kind of bus")
    (stated,) = re.findall(r"about (\d+) USD a month", content(page))
    for stage, assembly in templates.items():
        bill = idle_bill(assembly, prices("us-east-1"))
        assert bill.unpriced == [], stage
        assert abs(bill.usd - int(stated)) < 1, stage
