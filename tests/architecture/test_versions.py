"""Deployed code and generated files do not depend on the version of Python."""

import ast
from collections.abc import Iterator

import pytest

from workspace.isolation import PROJECT

VARIES = {
    "phrase": "http renamed four of them in 3.13",
    "is_global": "ipaddress follows IANA's registries, a little later each time",
    "is_private": "as is_global",
    "is_reserved": "as is_global",
    "fromisoformat": "datetime takes 24:00 since 3.14",
    "guess_type": "mimetypes learns types in each version",
    "isprintable": "each version has a newer Unicode",
    "isidentifier": "as isprintable",
    "isalpha": "as isprintable",
    "isalnum": "as isprintable",
    "isnumeric": "as isprintable",
    "casefold": "as isprintable",
    "normalize": "as isprintable",
}
"""Functions and attributes of the standard library whose results vary between versions."""

ALLOWED = {
    ("lambdas/analytics/sales_store.py", "fromisoformat"): "reads what the module itself wrote",
    ("lambdas/eventing/http.py", "phrase"): "the four that differ are in a table there",
    ("lambdas/payments/sandbox_provider.py", "fromisoformat"): "reads what the module itself wrote",
    ("stacks/schemas/events.py", "fromisoformat"): "reads a day of a class",
}
"""Harmless uses of them, each with the reason."""


def uses(source: str) -> Iterator[str]:
    """Yields the varying functions and attributes that a module uses."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in VARIES:
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if alias.name in VARIES)


def test_functions_that_vary_between_versions_need_a_reason() -> None:
    found = {
        (path.relative_to(PROJECT).as_posix(), name)
        for folder in ("lambdas", "stacks/schemas", "tools/contracts", "tools/catalogue")
        for path in (PROJECT / folder).rglob("*.py")
        for name in uses(path.read_text())
    }
    reasons = [f"{path}: {name}: {VARIES[name]}" for path, name in sorted(found - ALLOWED.keys())]
    assert reasons == []
    assert ALLOWED.keys() - found == set(), "these are not used any more"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("title = HTTPStatus(422).phrase", ["phrase"]),
        ("from mimetypes import guess_type", ["guess_type"]),
        ("kept = filter(str.isprintable, name)", ["isprintable"]),
        ("phrase = status.value", []),
    ],
)
def test_uses_of_varying_functions_are_found(source: str, found: list[str]) -> None:
    assert list(uses(source)) == found
