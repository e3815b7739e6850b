"""Counts that depend on no machine: a change that makes orders cost more is seen."""

from pathlib import Path

import pytest

from tools.bench import counts


def test_orders_and_imports_take_what_the_file_says(assembly: Path) -> None:
    found = [*counts.differences(counts.known(), counts.counted(assembly))]
    assert not found, f"if these are meant to change, run `{counts.UPDATE}`: {found}"


@pytest.mark.parametrize("name", ["records", "call records", "write units"])
def test_a_cancelled_order_takes_more_than_a_declined_one_and_less_than_a_returned_one(
    name: str,
) -> None:
    orders = counts.known()["orders"]
    declined, cancelled, returned = (
        orders[kind][name] for kind in ("declined", "cancelled", "returned")
    )
    assert 0 < declined < cancelled < returned


def test_each_difference_is_named_with_both_values() -> None:
    before = {"orders": {"a": {"calls": 1, "gone": 2}}, "modules": {"outside": {"x": 3}}}
    now = {"orders": {"a": {"calls": 4}, "b": {"new": 5}}, "modules": {"outside": {"x": 3}}}
    assert [*counts.differences(before, now)] == [
        "orders.a.calls: 4 instead of 1",
        "orders.a.gone: 0 instead of 2",
        "orders.b.new: 5 instead of 0",
    ]
