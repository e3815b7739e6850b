"""Each kind of table item expires or is kept on purpose. Other growth: tests/stacks."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from lambdas.returns import domain, return_store
from workspace.isolation import PROJECT

KEPT = {
    ("inventory", "assignment"): "audit: who decided which supplier delivers an item",
    ("inventory", "price record"): "audit: who decided about a price, and when",
    ("inventory", "pricing"): "one for each SKU",
    ("inventory", "reservation"): "audit: the units that an order reserved, or may not reserve",
    ("inventory", "stock"): "one for each SKU, with the units received so far",
    ("orders", "order"): "audit: sales, which the law requires to be kept for years",
    ("orders", "price"): "one for each SKU",
    ("payments", "payment"): "audit: money that was authorized and refunded",
    ("privacy", "erasure"): "audit: the proof of an erasure, without personal data",
    ("returns", "decision"): "evidence: who decided about a refund, and when",
    ("returns", "return"): "audit: the reason of a refund, and who decided it",
    ("shipping", "shipment"): "audit: parcels",
    # Simulations of external systems.
    ("payments", "authorization"): "record of the sandbox payment provider",
    ("shipping", "parcel"): "record of the sandbox carrier",
}
"""Items that are never deleted, by context and kind, with the reason.

An order takes a few kilobytes: a million orders are some gigabytes, which DynamoDB stores for about
a dollar a month. These items also make late events harmless: an event of last year finds its order
closed and changes nothing. An order that has to be deleted must be deleted in all contexts at once.
"""


def kinds(source: str) -> Iterator[tuple[str, bool]]:
    """The kinds of the items that a module writes, each with whether they expire."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(ast.Name("Store"), [_, ast.Constant(str() as kind), *_]):
                yield kind, False
        if not isinstance(node, ast.Dict):
            continue
        entries = {
            key.value.removeprefix(":"): value
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        if "kind" in entries:
            for part in ast.walk(entries["kind"]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value, "expires_at" in entries


def written() -> dict[tuple[str, str], set[bool]]:
    """Whether items expire, by context and kind: a kind with several writers can have both."""
    found: dict[tuple[str, str], set[bool]] = {}
    for path in sorted((PROJECT / "lambdas").rglob("*.py")):
        for kind, expires in kinds(path.read_text()):
            found.setdefault((path.parent.name, kind), set()).add(expires)
    return found


def test_each_item_expires_or_is_kept_on_purpose() -> None:
    assert {key for key, expires in written().items() if expires != {True}} == KEPT.keys()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('item = {"kind": "note", "text": text}', [("note", False)]),
        ('item = {"kind": "note", **rest, "expires_at": 1}', [("note", True)]),
        ('values = {":kind": "a" if b else "c", ":expires_at": 1}', [("a", True), ("c", True)]),
        ('values = {":kind": "note", ":one": 1}', [("note", False)]),
        ('notes = Store(Note, "note", settings, key, id_field="id")', [("note", False)]),
    ],
)
def test_the_kinds_that_a_module_writes_are_found(
    source: str, found: list[tuple[str, bool]]
) -> None:
    assert list(kinds(source)) == found


def test_returns_keeps_an_order_for_longer_than_delivery_and_return_period_together() -> None:
    """Even after a delivery of 120 days, the return period ends before the item expires."""
    late = datetime.now(UTC) - timedelta(days=return_store.KEPT_DAYS - 120)
    assert not domain.in_time(late, datetime.now(UTC))
