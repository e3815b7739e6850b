"""What a change does to the bill: of a month without orders, and per million orders."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from cdk_rehearsal import Assembly, idle_bill, prices

REGION = "us-east-1"
"""The region whose prices count."""

_CENT = 0.01
_MILLION = 1_000_000


def idle(before: Assembly, after: Assembly) -> list[str]:
    """Describes what the resources of two versions cost in a month, however many orders come."""
    was, now = (idle_bill(each, prices(REGION)) for each in (before, after))
    sides = [{f"`{line.type}`": line.usd for line in bill.lines} for bill in (was, now)]
    new = sorted(set(now.unpriced) - set(was.unpriced))
    return [
        *_changes("idle", sides[0], sides[1], "USD a month"),
        *(f"no price is known for {name}" for name in new),
    ]


def used(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Describes what orders cost in two versions, from reports of `make cost ARGS="--json …"`."""
    sides = []
    for report in (before, after):
        sums: defaultdict[str, float] = defaultdict(float)
        for charge in (*report["order"]["charges"], *report["order"]["polls"]):
            sums[charge["service"]] += charge["usd"] * _MILLION
        sides.append(sums)
    new = sorted(after["order"]["unpriced"].keys() - before["order"]["unpriced"].keys())
    return [
        *_changes("in use", sides[0], sides[1], "USD per million orders"),
        *(f"no price is known for {name}" for name in new),
    ]


def _changes(
    title: str, was: Mapping[str, float], now: Mapping[str, float], unit: str
) -> Iterator[str]:
    """Yields the sums and their parts, as far as they differ."""
    parts = [(name, was.get(name, 0.0), now.get(name, 0.0)) for name in sorted({*was, *now})]
    changed = [part for part in parts if abs(part[2] - part[1]) >= _CENT / 2]
    for name, old, new in (
        *([(title, sum(was.values()), sum(now.values()))] if changed else []),
        *changed,
    ):
        yield f"{name}: {old:,.2f} → {new:,.2f} {unit} ({new - old:+,.2f})"
