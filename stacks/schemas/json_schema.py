"""JSON Schemas of events: the data, the envelope, the message on the bus; and examples."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from lambdas.eventing.event import CloudEvent, Event
from stacks.schemas.events import successor_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_REF = "#/$defs/"


class NoExample(ValueError):
    """A schema has no example, and is too general to make one."""


class WrongExample(ValueError):
    """An example in a class violates the constraints of the class."""


def data_schema(event: type[Event]) -> Schema:
    """Returns the JSON Schema (2020-12) of an event's data, without external references.

    Unknown fields are allowed: a publisher may add some at any time.
    """
    schemas = _components(event)
    own = schemas.pop(event.__name__)
    own["title"] = event.detail_type()
    return {
        "$schema": DIALECT,
        "$id": f"urn:{event.source.replace('.', ':')}:{event.detail_type()}",
        **own,
        **({"$defs": schemas} if schemas else {}),
    }


def envelope_schema(event: type[Event]) -> Schema:
    """Returns the JSON Schema (2020-12) of an event in its envelope."""
    envelope, schemas = _envelope()
    schemas |= _components(event)
    envelope["title"] = f"{event.detail_type()} in its envelope"
    envelope["description"] = schemas[event.__name__].get("description", "")
    envelope["properties"] |= {
        "source": {**envelope["properties"]["source"], "const": event.source},
        "type": {**envelope["properties"]["type"], "const": event.detail_type()},
        "data": {"$ref": f"{_REF}{event.__name__}"},
    }
    newer = successor_of(event)
    if newer:
        envelope["properties"]["supersededby"]["const"] = newer.detail_type()
    else:
        del envelope["properties"]["supersededby"]
    return {
        "$schema": DIALECT,
        "$id": f"urn:{event.source.replace('.', ':')}:{event.detail_type()}:envelope",
        **envelope,
        "$defs": schemas,
    }


def any_envelope_schema() -> Schema:
    """Returns the JSON Schema (2020-12) of the envelope with any data."""
    envelope, schemas = _envelope()
    return {
        "$schema": DIALECT,
        "$id": "urn:orderflow:envelope",
        **envelope,
        **({"$defs": schemas} if schemas else {}),
    }


def bus_schema(event: type[Event]) -> Schema:
    """Returns the JSON Schema (2020-12) of a message on the bus: its fields and the envelope.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
    """
    envelope = envelope_schema(event)
    schemas = envelope.pop("$defs")
    del envelope["$schema"], envelope["$id"]
    text = {"type": "string"}
    properties = {
        "version": {"const": "0"},
        "id": {**text, "format": "uuid"},
        "detail-type": {**text, "const": event.detail_type()},
        "source": {**text, "const": event.source},
        "account": {**text, "pattern": "^[0-9]{12}$(?!\\n)", "examples": ["123456789012"]},
        "time": {**text, "format": "date-time"},
        "region": {**text, "examples": ["eu-central-1"]},
        "resources": {"type": "array", "items": text, "examples": [[]]},
        "detail": envelope,
    }
    return {
        "$schema": DIALECT,
        "$id": f"urn:{event.source.replace('.', ':')}:{event.detail_type()}:bus",
        "title": f"{event.detail_type()} on the bus",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "$defs": schemas,
    }


def example(event: type[Event]) -> dict[str, Any]:
    """Returns data of an event, always the same, from the examples in its class.

    Raises NoExample or WrongExample, with the path of the field whose class needs a change.
    """
    made: dict[str, Any] = example_of(data_schema(event))
    try:
        msgspec.convert(made, event)
    except msgspec.ValidationError as error:
        raise WrongExample(
            f"{event.detail_type()} has a wrong example: {error}; correct its class in "
            f"{event.__module__.replace('.', '/')}.py"
        ) from error
    return made


def envelope_example(event: type[Event]) -> dict[str, Any]:
    """Returns an event in its envelope, always the same. Raises NoExample or WrongExample."""
    made: dict[str, Any] = example_of(envelope_schema(event))
    data = example(event)
    return {**made, "subject": msgspec.convert(data, event).subject, "data": data}


def bus_example(event: type[Event]) -> dict[str, Any]:
    """Returns a message of the bus, always the same. Raises NoExample or WrongExample."""
    made: dict[str, Any] = example_of(bus_schema(event))
    return {**made, "detail": envelope_example(event)}


def example_of(schema: Schema) -> Any:
    """Returns a value that is valid by a schema of this module. Raises NoExample."""
    return _Examples(schema.get("$defs", {}), schema.get("title", "schema")).of(schema, "$")


class _Examples:
    def __init__(self, definitions: Mapping[str, Schema], title: str) -> None:
        self._definitions = definitions
        self._title = title

    def of(self, schema: Schema, path: str) -> Any:
        if "$ref" in schema:
            return self.of(self._definitions[schema["$ref"].removeprefix(_REF)], path)
        if "const" in schema:
            return schema["const"]
        for given in ("examples", "enum"):
            if schema.get(given):
                return schema[given][0]
        if "anyOf" in schema:
            return self.of(schema["anyOf"][0], path)
        make = self._makers().get(schema.get("type", ""))
        if make is None:
            raise NoExample(f"{self._title} {path}: no example for {schema}")
        return make(schema, path)

    def _makers(self) -> Mapping[str, Callable[[Schema, str], Any]]:
        return {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "boolean": lambda schema, path: True,
            "null": lambda schema, path: None,
        }

    def _object(self, schema: Schema, path: str) -> dict[str, Any]:
        return {
            name: self.of(field, f"{path}.{name}")
            for name, field in schema.get("properties", {}).items()
        }

    def _array(self, schema: Schema, path: str) -> list[Any]:
        return [self.of(schema["items"], f"{path}[0]")] * max(1, schema.get("minItems", 0))

    def _string(self, schema: Schema, path: str) -> str:
        made = {
            "date-time": "2026-01-05T08:00:00Z",
            "uuid": "0f8b3f5e-6c0e-4b7e-9d8a-2f1c5a7e9b10",
        }.get(schema.get("format", ""))
        if made is None:
            raise NoExample(
                f"{self._title} {path}: there is no example; add one to its type: "
                'Annotated[str, Meta(description="…", examples=["…"])]'
            )
        return made


def _envelope() -> tuple[Schema, dict[str, Schema]]:
    """Returns the schema of the envelope, and the schemas to which it refers."""
    schemas = _components(CloudEvent)
    envelope = schemas.pop(CloudEvent.__name__)
    # Consumers accept an event without it, but publishers always send it.
    envelope["required"] = ["specversion", *envelope["required"]]
    return envelope, schemas


def _components(class_: type[msgspec.Struct]) -> dict[str, Schema]:
    """Returns the schemas of a class and of its parts, by name."""
    _, components = msgspec.json.schema_components([class_], ref_template=_REF + "{name}")
    for schema in components.values():
        for part in _parts(schema):
            if "description" in part:
                part["description"] = inspect.cleandoc(part["description"])
    return {**components}


def _parts(schema: Any) -> Iterator[Schema]:
    """Yields a schema and all schemas in it."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from _parts(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _parts(part)
