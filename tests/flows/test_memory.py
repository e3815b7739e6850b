"""Settled orders leave only their items in memory: all else about them is in a file."""

import gc
from collections import Counter
from typing import Any

import pytest
from moto.dynamodb.models import dynamodb_backends

from cdk_rehearsal import spool
from cdk_rehearsal.meter import Record
from cdk_rehearsal.spool import Spooled
from tests.flows.shop import Shop

ORDERS = 6
"""The orders of a round."""
KEPT = 16
"""The entries of each sequence that stay in memory, and that move to the file together."""
OBJECTS_PER_ORDER = 300
"""The most objects with references that stay of an order, besides its items."""


def _settle_orders(shop: Shop, name: str) -> None:
    shop.receive({name: ORDERS}, delivery=name)
    for number in range(ORDERS):
        # One at a time: no further execution environment starts, which would take memory, too.
        shop.place({name: 1}, key=f"{name}-{number}")
        shop.settle()


def _kept(shop: Shop) -> Counter[str]:
    """Counts the objects that the garbage collector knows, by type, but not the tables' items."""
    gc.collect()
    rehearsal = shop.rehearsal
    tables = dynamodb_backends[rehearsal.account][rehearsal.region].tables.values()
    todo: list[Any] = [table.items for table in tables]
    items: set[int] = set()
    while todo:
        each = todo.pop()
        if id(each) not in items and not issubclass(type(each), type):
            items.add(id(each))
            todo += gc.get_referents(each)
    return Counter(type(each).__name__ for each in gc.get_objects() if id(each) not in items)


def test_memory_does_not_grow_with_settled_orders(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_CHUNK", KEPT)
    gc.unfreeze()
    for each in gc.get_objects():
        if issubclass(type(each), Spooled):
            each.kept = KEPT
    # What is here already is not counted.
    gc.freeze()
    _settle_orders(shop, "WARM")
    once = _kept(shop)
    _settle_orders(shop, "ONCE")
    twice = _kept(shop)
    assert twice["Record"] <= 2 * KEPT
    grown = twice - once
    print(once.total(), twice.total(), grown.total(), grown.most_common(40))
    import sys

    sys.stdout.flush()
    assert grown.total() <= OBJECTS_PER_ORDER * ORDERS, grown.most_common(15)
    assert len([*shop.rehearsal.meter.records]) > 100 * ORDERS
    assert isinstance(shop.rehearsal.meter.records[0], Record)
