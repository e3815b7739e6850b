"""A replay on the classic bus: the runbook's own commands deliver again what a rule gave up."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.flows.shop import Shop
from tests.flows.test_runbook import Failure, broken, mended, orders, work_through


@pytest.fixture(autouse=True)
def on_the_classic_bus(shop: Shop) -> None:
    """Only that bus has rules and an archive."""
    if shop.is_custom:
        pytest.skip("a Custom Event Bus has no rules: see test_redrive.py")


def last_hour(_: Shop, __: str) -> Mapping[str, str]:
    """The time of the failure, instead of that on the page."""
    now = datetime.now(UTC)
    start, end = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (now - timedelta(hours=1), now))
    return {"2026-01-05T08:00:00Z": start, "2026-01-05T09:00:00Z": end}


def test_the_commands_of_the_page_deliver_what_the_rule_gave_up(
    shop: Shop, aws: str, tmp_path: Path
) -> None:
    given_up = orders(1, broken("Checkout/RunCheckout/Queue", "gone"))
    failure = Failure(given_up, repair=mended, values=last_hour)
    before = shop.statuses()
    work_through("a-rule-cannot-deliver", failure, shop, aws, tmp_path)
    assert shop.statuses() - before == {"confirmed": 1}
