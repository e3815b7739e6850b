"""The bill of one order of each kind, counted by hand in decision 73 and by the meter."""

import re
from collections import Counter
from collections.abc import Callable

import pytest

from cdk_rehearsal import Metering, Use
from tests.flows.shop import Shop
from tests.support.documents import content
from tools.bench.order_kinds import KINDS

SKU = "BILLED"
COUNTED = ("approved", "declined", "returned")
ANALYTICS = "Analytics/"
RELAY = "/Relay"


def counted_by_hand(kind: str) -> dict[str, float]:
    """Returns the units of an order according to the decision, by the name of the price."""
    page = content("docs/decisions/0073-a-bill-is-metered.md")
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", page, re.MULTILINE)
    column = COUNTED.index(kind)
    return {name: float(numbers[column]) for name, *numbers in rows}


def metered(shop: Shop, happens: Callable[[Shop, str], None]) -> dict[Use, float]:
    shop.receive({SKU: 5}, delivery=SKU)
    shop.settle()
    metering = Metering(shop.rehearsal)
    happens(shop, SKU)
    return metering.uses()


@pytest.mark.parametrize("kind", COUNTED)
def test_an_order_uses_what_the_decision_counts_by_hand(shop: Shop, kind: str) -> None:
    uses = metered(shop, KINDS[kind])
    found: Counter[str] = Counter()
    relayed = 0.0
    for use, units in uses.items():
        name = "event" if use.price == "custom_bus_kb_in" else use.price
        if use.price == "function_request" and use.who.endswith(RELAY):
            relayed += units
        elif not use.who.startswith(ANALYTICS):
            found[name] += units  # type: ignore[assignment]
    counted = counted_by_hand(kind)
    assert len(counted) > 5
    assert {name: found[name] for name in counted} == counted
    assert 1 <= relayed <= counted["event"]


@pytest.mark.parametrize(
    ("kind", "events", "rows"), [("approved", 1, 2), ("declined", 0, 0), ("returned", 2, 3)]
)
def test_analytics_writes_two_units_for_each_event_that_it_counts_and_two_for_each_row(
    shop: Shop, kind: str, events: int, rows: int
) -> None:
    """A sale counts for its item and for the shop, and a return for the shop."""
    uses = metered(shop, KINDS[kind])
    written = [
        units
        for use, units in uses.items()
        if use.price == "write_unit" and use.who.startswith(ANALYTICS)
    ]
    assert sum(written) == 2 * events + 2 * rows
