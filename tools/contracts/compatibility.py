"""Finds differences between two versions of a schema that break consumers or stored data.

Old and new versions must read each other's data. Consumers may use the old class for years, and
archives, queues and dead-letter queues return old data to consumers with the new class. So almost
nothing may change: accepting more values breaks the former, accepting fewer breaks the latter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

from stacks.schemas.json_schema import Schema

_NOTES = frozenset(
    {
        *("$schema", "$id", "$defs", "$comment", "title", "description", "example", "examples"),
        *("deprecated", "readOnly", "writeOnly"),
    }
)
"""Keywords that do not restrict values.
https://json-schema.org/draft/2020-12/json-schema-validation#name-a-vocabulary-for-basic-meta"""
_HANDLED = frozenset({"type", "enum", "const", "properties", "required", "default"})
_INNER = {"items": "[]", "additionalProperties": ".*"}
_LOWER = {
    "minimum": "the least value",
    "exclusiveMinimum": "the value that all are above",
    "minLength": "the least length",
    "minItems": "the least number of elements",
    "minProperties": "the least number of keys",
}
_UPPER = {
    "maximum": "the greatest value",
    "exclusiveMaximum": "the value that all are below",
    "maxLength": "the greatest length",
    "maxItems": "the greatest number of elements",
    "maxProperties": "the greatest number of keys",
}


@dataclass(frozen=True, kw_only=True)
class Breaking:
    """One difference that breaks consumers or stored data."""

    path: str
    """The place in the schema, such as `$.lines[].quantity`."""
    what: str
    consumers: bool = False
    """Whether consumers with the old class cannot read all new data, or miss some of it."""
    history: bool = False
    """Whether the new class cannot read older data, or gives it another meaning."""

    def __str__(self) -> str:
        """The path and the difference, as one line."""
        return f"{self.path} {self.what}"


def breaking_changes(old: Schema, new: Schema) -> list[Breaking]:
    """Returns the breaking differences between two schemas of one event.

    There are none if both versions read each other's data and no field was removed. A change of an
    unknown keyword counts as breaking.
    """
    return [*_compared(dereferenced(old), dereferenced(new), "$")]


def dereferenced(document: Any) -> Any:
    """Returns a JSON document with each local reference replaced by its target.

    Keywords beside a reference take precedence over those of the target.
    """

    def resolved(part: Any) -> Any:
        if isinstance(part, list):
            return [resolved(each) for each in part]
        if not isinstance(part, Mapping):
            return part
        match part.get("$ref"):
            case str(pointer):
                target = reduce(getitem, pointer.removeprefix("#/").split("/"), document)
                part = {**target, **{key: each for key, each in part.items() if key != "$ref"}}
                return resolved(part)
        return {key: resolved(each) for key, each in part.items()}

    return resolved(document)


def plain(schema: Any) -> Any:
    """Returns a schema without its descriptions. It has no references: see `dereferenced`."""
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: {name: plain(field) for name, field in value.items()}
        if key == "properties"
        else plain(value)
        for key, value in schema.items()
        if key not in _NOTES
    }


def _compared(old: Schema, new: Schema, path: str) -> Iterator[Breaking]:
    """Compares the schemas at one path, each of which may have alternatives."""
    ours, theirs = old.get("anyOf", [old]), new.get("anyOf", [new])
    if len(ours) == len(theirs) == 1:
        yield from _one(ours[0], theirs[0], path)
        return
    gone = [each for each in ours if plain(each) not in map(plain, theirs)]
    come = [each for each in theirs if plain(each) not in map(plain, ours)]
    for alike in (_named, _kind):
        for before in [*gone]:
            after = next((each for each in come if alike(each) == alike(before)), None)
            if after:
                gone.remove(before)
                come.remove(after)
                yield from _one(before, after, path)
    for before in gone:
        yield Breaking(path=path, what=f"can no longer be {_named(before)}", history=True)
    for after in come:
        yield Breaking(path=path, what=f"can now be {_named(after)}, too", consumers=True)


def _one(old: Schema, new: Schema, path: str) -> Iterator[Breaking]:
    was, now = _kind(old), _kind(new)
    if was != now:
        wider, narrower = _takes_all(now, was), _takes_all(was, now)
        about = f" ({old['description']})" if "description" in old else ""
        yield Breaking(
            path=f"{path}{about}",
            what=f"is of type {now}, was {was}",
            consumers=not narrower,
            history=not wider,
        )
        return
    yield from _values(old, new, path)
    for keyword in sorted((old.keys() | new.keys()) - _NOTES - _HANDLED):
        before, after = old.get(keyword), new.get(keyword)
        if keyword in _INNER and isinstance(before, dict) and isinstance(after, dict):
            yield from _compared(before, after, path + _INNER[keyword])
        elif plain(before) != plain(after):
            yield _constraint(keyword, before, after, path)
    if was == "object":
        yield from _fields(old, new, path)


def _fields(old: Schema, new: Schema, path: str) -> Iterator[Breaking]:
    before, after = old.get("properties", {}), new.get("properties", {})
    needed, needs = set(old.get("required", ())), set(new.get("required", ()))
    come = [name for name in after if name not in before]
    for name in before:
        if name in after:
            yield from _requirement(name in needed, name in needs, f"{path}.{name}")
            yield from _default(before[name], after[name], f"{path}.{name}")
            yield from _compared(before[name], after[name], f"{path}.{name}")
            continue
        alike = (other for other in come if plain(after[other]) == plain(before[name]))
        renamed = next(alike, None)
        if renamed:
            come.remove(renamed)
        yield Breaking(
            path=f"{path}.{name}",
            what=f"is renamed to {renamed}" if renamed else "is gone",
            consumers=True,
            history=bool(renamed) or new.get("additionalProperties") is False,
        )
    closed = old.get("additionalProperties") is False
    for name in come:
        if name in needs or closed:
            what = "is new and required" if name in needs else "is new where nothing may be"
            yield Breaking(
                path=f"{path}.{name}", what=what, consumers=closed, history=name in needs
            )


def _requirement(was: bool, now: bool, path: str) -> Iterator[Breaking]:
    if was and not now:
        yield Breaking(path=path, what="may be left out now", consumers=True)
    if now and not was:
        yield Breaking(path=path, what="may no longer be left out", history=True)


def _default(old: Schema, new: Schema, path: str) -> Iterator[Breaking]:
    nothing = object()
    before, after = old.get("default", nothing), new.get("default", nothing)
    if before is not nothing and after is not nothing and before != after:
        yield Breaking(
            path=path,
            what=f"means {after!r} where it is left out, meant {before!r}",
            consumers=True,
            history=True,
        )


def _kind(schema: Schema) -> str:
    """Returns the type and format. Values of different kinds need different code to read them."""
    kind: str | None = schema.get("type")
    if kind is None:
        values = [schema["const"]] if "const" in schema else schema.get("enum", [])
        kind = _JSON.get(type(values[0]), "anything") if values else "anything"
    return f"{schema['format']} {kind}" if "format" in schema else kind


def _named(schema: Schema) -> str:
    """Returns the kind, with the title if there is one, to distinguish several objects."""
    return " ".join(filter(None, [_kind(schema), schema.get("title")]))


def _takes_all(wide: str, narrow: str) -> bool:
    """Whether a reader of the wide type can read the narrow one."""
    return (wide, narrow) == ("number", "integer") or narrow.endswith(f" {wide}")


_JSON: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def _values(old: Schema, new: Schema, path: str) -> Iterator[Breaking]:
    before, after = _listed(old), _listed(new)
    if before is None and after is not None:
        yield Breaking(path=path, what=f"can only be {_told(after)} now", history=True)
    elif before is not None and after is None:
        yield Breaking(
            path=path, what=f"can be anything now, not only {_told(before)}", consumers=True
        )
    elif before is not None and after is not None:
        gone = [value for value in before if value not in after]
        come = [value for value in after if value not in before]
        if gone:
            yield Breaking(path=path, what=f"can no longer be {_told(gone)}", history=True)
        if come:
            yield Breaking(path=path, what=f"can now be {_told(come)}, too", consumers=True)


def _listed(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _told(values: list[Any]) -> str:
    return ", ".join(map(repr, values))


def _constraint(keyword: str, old: Any, new: Any, path: str) -> Breaking:
    """Describes a changed constraint. A new one narrows the values, a removed one widens them."""
    if keyword in _LOWER | _UPPER and old is not None and new is not None:
        narrower = (new > old) == (keyword in _LOWER)
        what = f"{(_LOWER | _UPPER)[keyword]} is {new}, was {old}"
        return Breaking(
            path=path, what=f"is changed: {what}", consumers=not narrower, history=narrower
        )
    name = (_LOWER | _UPPER).get(keyword, keyword)
    if old is None:
        return Breaking(path=path, what=f"is limited: {name} is {_short(new)} now", history=True)
    if new is None:
        return Breaking(
            path=path, what=f"is no longer limited: {name} was {_short(old)}", consumers=True
        )
    return Breaking(
        path=path,
        what=f"is changed: {name} is {_short(new)}, was {_short(old)}",
        consumers=True,
        history=True,
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
