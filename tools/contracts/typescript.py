"""The published events as TypeScript types, for consumers in another language."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, get_origin

import msgspec

from lambdas.eventing.event import Event
from stacks.schemas.events import by_name, successor_of
from stacks.schemas.json_schema import Schema, any_envelope_schema, data_schema

_REF = "#/$defs/"
_HEAD = """\
// What the shop publishes, generated from its event classes by `make generated`: do not edit.
// The times are RFC 3339 with an offset. Fields that are not declared here may come at any time.
"""
_TAIL = """\
/** Any event that the shop publishes. Its `type` tells them apart. */
export type ShopEvent =
{union};

/** The types of all events. */
export type EventType = ShopEvent["type"];

/** The event of a type, as in `EventOf<"{first}">`. */
export type EventOf<Type extends EventType> = Extract<ShopEvent, {{ type: Type }}>;

/** What a target of a rule on the bus receives. */
export interface BusMessage<E extends ShopEvent = ShopEvent> {{
  readonly version: "0";
  readonly id: string;
  readonly "detail-type": E["type"];
  readonly source: E["source"];
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: E;
}}
"""
_TAGS = (
    *("format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "minLength", "maxLength", "minItems", "maxItems"),
)
_PRIMITIVES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}


class NotTypeable(ValueError):
    """A schema says something that this generator has no type for."""


def declarations(events: Iterable[type[Event]]) -> str:
    """A declaration file with the events, their envelope, and the union of them all.

    Raises NotTypeable, with what it cannot express, and where.
    """
    classes = [*by_name(events).values()]
    writer = _Writer(_aliases(classes))
    envelope = writer.envelope()
    written = [writer.event(event) for event in classes]
    definitions = [*writer.definitions()]
    union = "\n".join(f"  | {_type_name(event)}Event" for event in classes)
    parts = [_HEAD, *writer.aliases(), *definitions, envelope, *written]
    return "\n".join([*parts, _TAIL.format(union=union, first=classes[0].detail_type())])


def _type_name(event: type[Event]) -> str:
    """`OrderPlaced.v1` is `OrderPlacedV1`."""
    name, _, version = event.detail_type().rpartition(".v")
    return f"{name}V{version}"


def _aliases(events: Iterable[type[Event]]) -> dict[str, str]:
    """Names that the events' modules give to annotated types, by the schema of each.

    A name that stands for different types in different modules is none here.
    """
    meanings: defaultdict[str, set[str]] = defaultdict(set)
    for module in sorted({event.__module__ for event in events}):
        for name, value in vars(import_module(module)).items():
            if hasattr(value, "__metadata__") and get_origin(value) is not None:
                meanings[name].add(_key(msgspec.json.schema(value)))
    return {key: name for name, (key, *others) in sorted(meanings.items()) if not others}


def _key(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)


class _Writer:
    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._names = aliases
        self._aliases: dict[str, Schema] = {}
        self._definitions: dict[str, Schema] = {}

    def envelope(self) -> str:
        """The envelope around data of some kind."""
        schema = any_envelope_schema()
        fields = dict(schema["properties"])
        special = {"source": "Source", "type": "Type", "data": "Data"}
        lines = [
            *_comment(schema, ""),
            "export interface Envelope<Source extends string, Type extends string, Data> {",
        ]
        for name, field in fields.items():
            made = special.get(name) or self._type(field, f"the envelope's {name}")
            lines += self._field(name, field, made, name in schema["required"])
        return "\n".join([*lines, "}", ""])

    def event(self, event: type[Event]) -> str:
        """The data of an event, and the event in its envelope."""
        schema = data_schema(event)
        name = _type_name(event)
        newer = successor_of(event)
        if newer:
            until = f"; published until {event.ends}" if event.ends else ""
            said = f"{schema['description']}\n@deprecated in favour of {newer.detail_type()}{until}"
            schema = {**schema, "description": said}
        return "\n".join(
            [
                self._interface(name, schema),
                f"/** {event.detail_type()} in its envelope. */",
                f"export type {name}Event =",
                f"  Envelope<{_text(event.source)}, {_text(event.detail_type())}, {name}>;",
                "",
            ]
        )

    def aliases(self) -> Iterator[str]:
        """The named types that were needed so far."""
        for name, schema in sorted(self._aliases.items()):
            made = self._unnamed(schema, name)
            yield "\n".join([*_comment(schema, ""), f"export type {name} = {made};", ""])

    def definitions(self) -> Iterator[str]:
        """The classes inside of events that were needed so far."""
        for name, schema in sorted(self._definitions.items()):
            if "properties" in schema:
                yield self._interface(name, schema)
            else:
                made = self._unnamed(schema, name)
                yield "\n".join([*_comment(schema, ""), f"export type {name} = {made};", ""])

    def _interface(self, name: str, schema: Schema) -> str:
        for inner, definition in schema.get("$defs", {}).items():
            if self._definitions.setdefault(inner, definition) != definition:
                raise NotTypeable(f"{name}: two different classes are called {inner}")
        lines = [*_comment(schema, ""), f"export interface {name} {{"]
        for field, inner in schema["properties"].items():
            made = self._type(inner, f"{name}.{field}")
            lines += self._field(field, inner, made, field in schema.get("required", ()))
        return "\n".join([*lines, "}", ""])

    def _field(self, name: str, schema: Schema, made: str, required: bool) -> Iterator[str]:
        named = _key(schema) in self._names
        yield from _comment({} if named else schema, "  ")
        key = name if re.fullmatch(r"[A-Za-z_]\w*", name) else _text(name)
        yield f"  readonly {key}{'' if required else '?'}: {made};"

    def _type(self, schema: Schema, where: str) -> str:
        name = self._names.get(_key(schema))
        if name is None:
            return self._unnamed(schema, where)
        self._aliases[name] = schema
        return name

    def _unnamed(self, schema: Schema, where: str) -> str:
        if "$ref" in schema:
            return str(schema["$ref"]).removeprefix(_REF)
        if "const" in schema:
            return _text(schema["const"])
        if "enum" in schema:
            return " | ".join(_text(value) for value in schema["enum"])
        if "anyOf" in schema:
            return " | ".join(self._type(each, where) for each in schema["anyOf"])
        kind = schema.get("type")
        if kind in _PRIMITIVES:
            return _PRIMITIVES[kind]
        if kind == "null":
            return "null"
        if kind == "array" and "items" in schema:
            return f"readonly {_in_brackets(self._type(schema['items'], where))}[]"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            inner = self._type(schema["additionalProperties"], where)
            return f"{{ readonly [key: string]: {inner} }}"
        raise NotTypeable(f"{where}: no type is known for {schema}")


def _in_brackets(made: str) -> str:
    return f"({made})" if " " in made else made


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _comment(schema: Schema, indent: str) -> list[str]:
    """A comment with what the schema says beyond the type."""
    said = schema.get("description", "").splitlines()
    tags = [f"@{tag} {schema[tag]}" for tag in _TAGS if tag in schema]
    lines = [line.replace("*/", "* /") for line in [*said, *tags]]
    if not lines:
        return []
    if len(lines) == 1:
        return [f"{indent}/** {lines[0]} */"]
    return [f"{indent}/**", *(f"{indent} * {line}".rstrip() for line in lines), f"{indent} */"]
