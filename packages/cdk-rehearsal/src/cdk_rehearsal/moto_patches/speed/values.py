"""DynamoDB's attribute values on their way between a client and moto.

An attribute value is one key, its type, with its content, in JSON as in Python. botocore checks,
writes and reads it, and moto reads and writes it, by asking for all ten possible types on each
level of nesting: most of what GetItem and PutItem cost. Here a value that needs no conversion
passes as it is, and one that does, or that is malformed, goes the usual way.
"""

from collections.abc import Callable
from typing import Any

from botocore.parsers import BaseJSONParser as ClientParser
from botocore.serialize import JSONSerializer as ClientSerializer
from botocore.validate import ParamValidator
from moto.core.parse import BaseJSONParser as ServerParser
from moto.core.serialize import JSONSerializer as ServerSerializer

from cdk_rehearsal.sandbox.patching import Patches

_SHAPE = "AttributeValue"
_SCALARS = {"S": str, "N": str, "BOOL": bool, "NULL": bool}


def patch(patches: Patches) -> None:
    """Lets plain values pass through botocore and moto."""
    validator: Any = ParamValidator
    patches.set(validator, "_validate_structure", _validating(validator._validate_structure))
    for reader, method in ((ServerParser, "_parse_structure"), (ClientParser, "_handle_structure")):
        patches.set(reader, method, _reading(getattr(reader, method)))
    for writer in (ClientSerializer, ServerSerializer):
        method = "_serialize_type_structure"
        patches.set(writer, method, _writing(getattr(writer, method)))


def _validating(original: Callable[..., None]) -> Callable[..., None]:
    def validate(validator: Any, value: Any, shape: Any, errors: Any, name: str) -> None:
        if shape.name != _SHAPE or not _is_plain(value):
            original(validator, value, shape, errors, name)

    return validate


def _reading(original: Callable[..., Any]) -> Callable[..., Any]:
    def read(parser: Any, shape: Any, value: Any) -> Any:
        if shape.name == _SHAPE and _is_plain(value):
            return value
        return original(parser, shape, value)

    return read


def _writing(original: Callable[..., None]) -> Callable[..., None]:
    def write(serializer: Any, serialized: Any, value: Any, shape: Any, key: str | None) -> None:
        if shape.name == _SHAPE and key and _is_plain(value):
            serialized[key] = value
        else:
            original(serializer, serialized, value, shape, key)

    return write


def _is_plain(value: Any) -> bool:
    """Whether this is a well-formed value without bytes in it."""
    if type(value) is not dict or len(value) != 1:
        return False
    ((kind, content),) = value.items()
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        return type(content) is scalar
    if kind == "M":
        return type(content) is dict and all(
            type(name) is str and _is_plain(part) for name, part in content.items()
        )
    if type(content) is not list:
        return False
    if kind == "L":
        return all(map(_is_plain, content))
    return kind in {"SS", "NS"} and all(type(part) is str for part in content)
