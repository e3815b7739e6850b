"""What a stage costs while nobody uses it, as documents state it."""

import re
from collections.abc import Mapping

import pytest

from cdk_rehearsal import Assembly, idle_bill, prices
from tests.support.documents import content

PAGES = ("README.md", "docs/how-to/deploy.md", "docs/explanation/how-an-order-flows.md")


@pytest.mark.usefixtures("default_bus")
@pytest.mark.parametrize("page", PAGES)
def test_documents_state_what_an_idle_stage_costs(
    templates: Mapping[str, Assembly], page: str
) -> None:
    (stated,) = re.findall(r"about (\d+) USD a month", content(page))
    for stage, assembly in templates.items():
        bill = idle_bill(assembly, prices("us-east-1"))
        assert bill.unpriced == [], stage
        assert abs(bill.usd - int(stated)) < 1, stage
