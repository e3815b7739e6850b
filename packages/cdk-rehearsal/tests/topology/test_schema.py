"""Schemas are read, and messages changed, by paths in which dots and nesting are the same."""

from typing import Any

import pytest

from cdk_rehearsal.topology.schema import sub_schemas, variants

STATE = {"enum": ["placed", "gone"]}
NESTED = {"properties": {"order": {"properties": {"state": STATE}, "required": ["state"]}}}
DOTTED = {"properties": {"order.state": STATE}, "required": ["order.state"]}


@pytest.mark.parametrize(
    ("schema", "sample", "changed"),
    [
        (NESTED, {"order": {"state": "placed"}}, {"order": {"state": "gone"}}),
        (NESTED, {"order": [{"state": "placed"}]}, {"order": [{"state": "gone"}]}),
        (DOTTED, {"order.state": "placed"}, {"order.state": "gone"}),
    ],
)
def test_a_property_with_dots_is_found_as_a_nested_one(
    schema: dict[str, Any], sample: Any, changed: Any
) -> None:
    assert sub_schemas(schema, ("order", "state")) == [STATE]
    wanted: dict[tuple[str, ...], list[Any]] = {
        ("order", "state"): ["gone", "unknown", {"exists": False}]
    }
    assert list(variants(schema, [sample], wanted)) == [sample, changed]
