"""Codes: the values of a closed list, which a field of a request may have."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

_ELEMENT = "[]"


def allowed(body_type: Any, path: str) -> list[str]:
    """Returns the codes that a type allows at a path such as `.lines[0].size`.

    There are none if the type has no enumeration there.
    """
    found = [inspect.type_info(body_type)]
    for step in re.sub(r"\[[^]]*\]", f".{_ELEMENT}", path).split(".")[1:]:
        found = [inner for each in found for inner in _inner(each, step)]
    enums = [each.cls for each in _alternatives(found) if isinstance(each, inspect.EnumType)]
    return [str(member.value) for enum in enums for member in enum]


def _inner(found: inspect.Type, step: str) -> Iterator[inspect.Type]:
    """Yields the types of a field, or of the elements."""
    for each in _alternatives([found]):
        match each:
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
