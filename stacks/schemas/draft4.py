"""Conversion from JSON Schema 2020-12 to draft 4, the dialect of EventBridge's schema registry."""

from collections.abc import Callable, Mapping
from typing import Any

DIALECT = "http://json-schema.org/draft-04/schema#"

Schema = dict[str, Any]


class NotConvertible(ValueError):
    """A schema uses a keyword that cannot be converted to draft 4."""


def to_draft4(schema: Schema) -> Schema:
    """Returns the schema in draft 4: it accepts the same values. Examples are left out.

    Raises NotConvertible for a keyword that this converter does not know, with its path.
    https://json-schema.org/draft-04/draft-fge-json-schema-validation-00
    """
    return {"$schema": DIALECT, **_converted(schema, "#")}


def _converted(schema: Schema | bool, path: str) -> Schema:
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    if "$ref" in schema and len(schema) > 1:
        # Draft 4 ignores keywords beside a reference.
        reference = {"$ref": schema["$ref"]}
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**beside, "allOf": [*beside.get("allOf", []), reference]}
    converted: Schema = {}
    for name, value in schema.items():
        if name not in _KEYWORDS:
            raise NotConvertible(f"{path}/{name}: draft 4 has no {name}, or none that is known")
        converted |= _KEYWORDS[name](name, value, f"{path}/{name}")
    return converted


Keyword = Callable[[str, Any, str], Schema]


def _same(name: str, value: Any, path: str) -> Schema:
    return {name: value}


def _left_out(name: str, value: Any, path: str) -> Schema:
    return {}


def _inner(name: str, value: Any, path: str) -> Schema:
    return {name: _converted(value, path)}


def _named(name: str, value: Mapping[str, Schema], path: str) -> Schema:
    return {name: {key: _converted(part, f"{path}/{key}") for key, part in value.items()}}


def _listed(name: str, value: list[Schema], path: str) -> Schema:
    return {name: [_converted(part, f"{path}/{number}") for number, part in enumerate(value)]}


def _additional(name: str, value: Schema | bool, path: str) -> Schema:
    return {name: value if isinstance(value, bool) else _converted(value, path)}


def _required(name: str, value: list[str], path: str) -> Schema:
    # Draft 4 requires at least one name.
    return {name: value} if value else {}


def _exclusive(name: str, value: float, path: str) -> Schema:
    return {"minimum" if name.endswith("Minimum") else "maximum": value, name: True}


_KEYWORDS: Mapping[str, Keyword] = {
    **dict.fromkeys(
        (
            *("title", "description", "default", "type", "enum", "format", "pattern"),
            *("minimum", "maximum", "multipleOf", "minLength", "maxLength"),
            *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
        ),
        _same,
    ),
    **dict.fromkeys(("$schema", "examples"), _left_out),
    **dict.fromkeys(("items", "not"), _inner),
    **dict.fromkeys(("properties", "patternProperties"), _named),
    **dict.fromkeys(("anyOf", "allOf", "oneOf"), _listed),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), _exclusive),
    "additionalProperties": _additional,
    "required": _required,
    "const": lambda name, value, path: {"enum": [value]},
    "$id": lambda name, value, path: {"id": value},
    "$defs": lambda name, value, path: _named("definitions", value, path),
    "$ref": lambda name, value, path: {"$ref": value.replace("#/$defs/", "#/definitions/")},
}
