"""Schemas as tables, and the differences between two versions."""

import json
from collections.abc import Iterator
from typing import Any

from stacks.schemas.json_schema import Schema
from tools.catalogue.model import Field, FieldChange
from tools.contracts.compatibility import dereferenced

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
    return tuple(_fields(dereferenced(schema), 0))


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


def _fields(schema: Schema, depth: int) -> Iterator[Field]:
    required = schema.get("required", [])
    for name, own in schema.get("properties", {}).items():
        inner = own.get("items") or own
        yield Field(
            name=name,
            depth=depth,
            type=_type(own),
            required=name in required,
            limits=tuple(_limits(own)) + (tuple(_limits(inner)) if inner is not own else ()),
            description=own.get("description", ""),
            example=_example(own),
        )
        yield from _fields(inner, depth + 1)


def _type(schema: Schema) -> str:
    match schema:
        case {"anyOf": alternatives}:
            return " or ".join(map(_type, alternatives))
        case {"type": "array"}:
            return f"list of {_type(schema.get('items', {}))}"
        case {"type": "object"}:
            return str(schema.get("title", "object"))
        case {"enum": _}:
            return "one of"
        case {"const": _}:
            return "constant"
    return str(schema.get("format") or schema.get("type", "anything"))


def _limits(schema: Schema) -> Iterator[str]:
    for key, wording in _LIMITS.items():
        if key in schema:
            match schema[key]:
                case list(values):
                    yield wording.format(", ".join(map(str, values)))
                case int(number):
                    yield wording.format(f"{number:,}")
                case value:
                    yield wording.format(value)


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
