"""Schemas as tables, and the differences between two versions."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stacks.schemas.json_schema import Schema
from tools.catalogue.model import Field, FieldChange

_LIMITS = {
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "exclusiveMinimum": "> {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "{}",
    "const": "always {}",
    "enum": "{}",
}


def fields(schema: Schema) -> tuple[Field, ...]:
    """Returns the rows of a schema's table: each field, followed by the fields of its parts."""
    return tuple(_fields(schema, schema.get("$defs", {}), 0))


def changes(before: Schema, after: Schema) -> tuple[FieldChange, ...]:
    """Returns the differences between two schemas, field by field."""
    old, new = _described(before), _described(after)
    return tuple(
        FieldChange(
            kind="removed" if name not in new else "added" if name not in old else "changed",
            field=name,
            before=old.get(name, ""),
            after=new.get(name, ""),
        )
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    )


def _fields(schema: Schema, definitions: Mapping[str, Schema], depth: int) -> Iterator[Field]:
    required = schema.get("required", [])
    for name, given in schema.get("properties", {}).items():
        own = _resolved(given, definitions)
        inner = _resolved(own.get("items", {}), definitions) or own
        yield Field(
            name=name,
            depth=depth,
            type=_type(given, definitions),
            required=name in required,
            limits=tuple(_limits(own)) + (tuple(_limits(inner)) if inner is not own else ()),
            description=own.get("description", ""),
            example=_example(own),
        )
        yield from _fields(inner, definitions, depth + 1)


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "$ref" not in schema:
        return schema
    referred = definitions[schema["$ref"].rpartition("/")[2]]
    return {**referred, **{key: value for key, value in schema.items() if key != "$ref"}}


def _type(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(part, definitions) for part in schema["anyOf"])
    own = _resolved(schema, definitions)
    if own.get("type") == "array":
        return f"list of {_type(own.get('items', {}), definitions)}"
    if own.get("type") == "object":
        return str(own.get("title", "object"))
    if "enum" in own:
        return "one of"
    if "const" in own:
        return "constant"
    return str(own.get("format") or own.get("type", "anything"))


def _limits(schema: Schema) -> Iterator[str]:
    for key, wording in _LIMITS.items():
        if key in schema:
            value = schema[key]
            if isinstance(value, list):
                yield wording.format(", ".join(str(each) for each in value))
            else:
                yield wording.format(f"{value:,}" if isinstance(value, int) else value)


def _example(schema: Schema) -> str:
    examples = schema.get("examples") or []
    return json.dumps(examples[0], ensure_ascii=False) if examples else ""


def _described(schema: Schema) -> dict[str, str]:
    """Returns the type and limits of each field, in words, by its full name."""
    found: dict[str, str] = {}
    above: list[str] = []
    for field in fields(schema):
        above[field.depth :] = [field.name]
        words = [field.type, *field.limits, "required" if field.required else "optional"]
        found[".".join(above)] = ", ".join(words)
    return found


def pretty(value: Any) -> str:
    """Returns a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)
