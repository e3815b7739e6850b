"""What breaks between two versions of a schema, and for whom.

Old and new have to read each other's data. Those who consume an event may run on the class as it
was, for days or for years, and what was published before comes back from archives, queues and
dead-letter queues to those who run on the new one. So next to nothing may change: to take more
values breaks the former, to take fewer breaks the latter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stacks.schemas.json_schema import Schema

_REF = "#/$defs/"
_NOTES = frozenset(
    {
        *("$schema", "$id", "$defs", "$comment", "title", "description", "example", "examples"),
        *("deprecated", "readOnly", "writeOnly"),
    }
)
"""What constrains no value.
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
    """One difference that somebody suffers from."""

    path: str
    """Where, such as `$.lines[].quantity`."""
    what: str
    consumers: bool = False
    """Whether those who read with the class as it was cannot read all new data, or lack some."""
    history: bool = False
    """Whether the new class cannot read, or reads otherwise, what was published before."""

    def __str__(self) -> str:
        """Where and what, as one line."""
        return f"{self.path} {self.what}"


def breaking_changes(old: Schema, new: Schema) -> list[Breaking]:
    """The differences between two schemas of one event that break anybody.

    There are none if old and new read each other's data, and nothing that there was is gone. The
    schemas are those of `contracts.schemas`. What one of them says in a keyword that is not
    known here counts as breaking when it changes.
    """
    return [*_Comparison(old.get("$defs", {}), new.get("$defs", {})).of(old, new, "$")]


def plain(schema: Schema) -> Any:
    """Returns a schema without references and without descriptions."""
    return _plain(schema, schema.get("$defs", {}))


class _Comparison:
    def __init__(self, old: Mapping[str, Schema], new: Mapping[str, Schema]) -> None:
        self._old = old
        self._new = new

    def of(self, old: Schema, new: Schema, path: str) -> Iterator[Breaking]:
        """Compares what stands at one path."""
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        ours = [_resolved(each, self._old) for each in old.get("anyOf", [old])]
        theirs = [_resolved(each, self._new) for each in new.get("anyOf", [new])]
        if len(ours) == len(theirs) == 1:
            yield from self._one(ours[0], theirs[0], path)
            return
        plain_ours = [_plain(each, self._old) for each in ours]
        plain_theirs = [_plain(each, self._new) for each in theirs]
        gone = [ours[at] for at, plain in enumerate(plain_ours) if plain not in plain_theirs]
        come = [theirs[at] for at, plain in enumerate(plain_theirs) if plain not in plain_ours]
        for alike in (_named, _kind):
            for before in [*gone]:
                after = next((each for each in come if alike(each) == alike(before)), None)
                if after:
                    gone.remove(before)
                    come.remove(after)
                    yield from self._one(before, after, path)
        for before in gone:
            what = f"can no longer be {_named(before)}"
            yield Breaking(path=path, what=what, history=True)
        for after in come:
            yield Breaking(path=path, what=f"can now be {_named(after)}, too", consumers=True)

    def _one(self, old: Schema, new: Schema, path: str) -> Iterator[Breaking]:
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
                yield from self.of(before, after, path + _INNER[keyword])
            elif _plain(before, self._old) != _plain(after, self._new):
                yield _constraint(keyword, before, after, path)
        if was == "object":
            yield from self._fields(old, new, path)

    def _fields(self, old: Schema, new: Schema, path: str) -> Iterator[Breaking]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        come = [name for name in after if name not in before]
        for name in before:
            if name in after:
                yield from self._requirement(name in needed, name in needs, f"{path}.{name}")
                yield from self._default(before[name], after[name], f"{path}.{name}")
                yield from self.of(before[name], after[name], f"{path}.{name}")
                continue
            alike = (
                other
                for other in come
                if _plain(after[other], self._new) == _plain(before[name], self._old)
            )
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

    def _requirement(self, was: bool, now: bool, path: str) -> Iterator[Breaking]:
        if was and not now:
            yield Breaking(path=path, what="may be left out now", consumers=True)
        if now and not was:
            yield Breaking(path=path, what="may no longer be left out", history=True)

    def _default(self, old: Schema, new: Schema, path: str) -> Iterator[Breaking]:
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
    """The type, as far as a reader has to know it before anything else."""
    kind: str | None = schema.get("type")
    if kind is None:
        values = [schema["const"]] if "const" in schema else schema.get("enum", [])
        kind = _JSON.get(type(values[0]), "anything") if values else "anything"
    return f"{schema['format']} {kind}" if "format" in schema else kind


def _named(schema: Schema) -> str:
    """The type, with the title if the schema has one, to tell several objects apart."""
    return " ".join(filter(None, [_kind(schema), schema.get("title")]))


def _takes_all(wide: str, narrow: str) -> bool:
    """Whether whoever reads one type can read the other, too."""
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
    """What a changed constraint does. One that is new narrows, one that is gone widens."""
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


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """The schema that a reference is for, with what stands beside the reference."""
    if "$ref" not in schema:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**_resolved(definitions[schema["$ref"].removeprefix(_REF)], definitions), **beside}


def _plain(schema: Any, definitions: Mapping[str, Schema]) -> Any:
    """Returns a schema without references and without descriptions."""
    if isinstance(schema, list):
        return [_plain(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    resolved = _resolved(schema, definitions)
    plain: dict[str, Any] = {}
    for key, value in resolved.items():
        if key == "properties":
            plain[key] = {name: _plain(field, definitions) for name, field in value.items()}
        elif key not in _NOTES:
            plain[key] = _plain(value, definitions)
    return plain
