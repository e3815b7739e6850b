"""Codes: the values of a closed list, which a field of a request may have."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

_ELEMENT = "[]"


def allowed(body_type: Any, path: str) -> list[str]:
    """Returns the codes that a type allows at a path such as `.lines[0].size`, if it has some."""
    found = [inspect.type_info(body_type)]
    for step in re.sub(r"\[[^]]*\]", f".{_ELEMENT}", path).split(".")[1:]:
        found = [inner for each in found for inner in _inner(each, step)]
    codes = (str(code) for each in _alternatives(found) for code in _codes(each))
    return list(dict.fromkeys(codes))


def _codes(found: inspect.Type) -> Iterator[Any]:
    match found:
        case inspect.EnumType(cls=enum):
            yield from (member.value for member in enum)
        case inspect.LiteralType(values=values):
            yield from values


def _inner(found: inspect.Type, step: str) -> Iterator[inspect.Type]:
    """Yields the types of a field, or of the elements."""
    for each in _alternatives([found]):
        match each:
            case inspect.StructType(tag_field=kind, tag=tag) if kind == step:
                yield inspect.LiteralType((tag,))
            case inspect.StructType(fields=fields):
                yield from (field.type for field in fields if field.encode_name == step)
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                if step == _ELEMENT:
                    yield item


def _alternatives(found: list[inspect.Type]) -> Iterator[inspect.Type]:
    for each in found:
        match each:
            case inspect.Metadata(type=inner):
                yield from _alternatives([inner])
            case inspect.UnionType(types=types):
                yield from _alternatives([*types])
            case _:
                yield each
