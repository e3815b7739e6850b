"""Items of tables: each expires, or is kept on purpose. For what else grows see tests/stacks."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from lambdas.returns import domain, return_store
from stacks.constructs.packaging import PROJECT

KEPT = {
    ("inventory", "reservation"): "the shop's books: which units an order took, or may never take",
    ("inventory", "stock"): "one for each SKU that the shop ever had, with all that ever came in",
    ("notifications", "preferences"): "one for each customer; theirs until they say otherwise",
    ("orders", "order"): "the shop's books: what was sold to whom, which the law wants for years",
    ("orders", "price"): "one for each SKU",
    ("payments", "payment"): "the shop's books: money that was held, taken and given back",
    ("returns", "return"): "the shop's books: why money was given back, and who decided it",
    ("shipping", "shipment"): "the shop's books: what left the house, and where it went",
    # What stands for the systems of others.
    ("payments", "authorization"): "the provider's own book, in the sandbox",
    ("shipping", "parcel"): "the carrier's own book, in the sandbox",
}
"""Items that stay for ever, by context and kind, and why.

Books are a few kilobytes an order: a million orders are some gigabytes, which DynamoDB stores for a
dollar a month. They bound what comes late, too: an event of last year finds its order as it ended,
and does nothing. Whoever has to delete them deletes an order in all contexts at once.
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
    """All kinds by context, and whether they expire: one that is written twice may say both."""
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
def test_what_a_module_writes_is_found(source: str, found: list[tuple[str, bool]]) -> None:
    assert list(kinds(source)) == found


def test_an_order_is_known_for_longer_than_it_may_be_given_back() -> None:
    """A parcel that takes four months is not out of time when it arrives."""
    late = datetime.now(UTC) - timedelta(days=return_store.KEPT_DAYS - 120)
    assert not domain.in_time(late, datetime.now(UTC))
