"""Breaking changes between two versions of a class: the findings are verified with data."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct, defstruct, inspect

from lambdas.eventing.event import Event
from stacks.schemas.json_schema import Schema, data_schema
from tools.contracts.compatibility import Breaking, breaking_changes

Minor = Annotated[int, Meta(ge=0, le=10**12, description="Money in minor units")]
Time = Annotated[datetime, Meta(tz=True)]


class Kind(Enum):
    """A kind of transport."""

    AIR = "air"
    SEA = "sea"


class MoreKinds(Enum):
    """Kinds of transport, with one more."""

    AIR = "air"
    SEA = "sea"
    RAIL = "rail"


class FewerKinds(Enum):
    """Kinds of transport, with one less."""

    AIR = "air"


class Line(Struct, frozen=True, kw_only=True):
    """A line with some units."""

    sku: Annotated[str, Meta(min_length=1, max_length=9)]
    quantity: Annotated[int, Meta(ge=1, le=100)]


class Row(Line, frozen=True, kw_only=True):
    """The same line under another name."""


class SmallLine(Line, frozen=True, kw_only=True):
    """A line with few units."""

    quantity: Annotated[int, Meta(ge=1, le=3)]


class LineWithNote(Line, frozen=True, kw_only=True):
    """A line with an additional field."""

    note: str = ""


BEFORE: dict[str, Any] = {
    "order_id": str,
    "amount_minor": Minor,
    "currency": Annotated[str, Meta(pattern="^[A-Z]{3}$")],
    "at": Time,
    "kind": Kind,
    "lines": Annotated[list[Line], Meta(min_length=1, max_length=4)],
    "tags": dict[str, int],
}
OPTIONAL: dict[str, tuple[Any, Any]] = {"note": (str | None, None), "size": (int, 7)}


def event(changes: dict[str, Any]) -> type[Event]:
    """The class after changes: `...` removes a field, a tuple has a default."""
    fields = {**BEFORE, **OPTIONAL, **changes}
    listed: list[Any] = [
        (name, *made) if isinstance(made, tuple) else (name, made)
        for name, made in fields.items()
        if made is not ...
    ]
    namespace = {"source": "orderflow.test", "__doc__": "An order went from here to there."}
    made: Any = defstruct(
        "OrderMoved", listed, bases=(Event,), namespace=namespace, frozen=True, kw_only=True
    )
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Change:
    """A change of the class, with the expected finding."""

    changes: dict[str, Any]
    says: str
    consumers: bool = False
    history: bool = False
    silent: bool = False
    """Whether all data can still be read, but with another meaning."""


BREAKING = {
    "field removed": Change({"currency": ...}, "$.currency is gone", consumers=True),
    "optional field removed": Change({"size": ...}, "$.size is gone", consumers=True, silent=True),
    "field renamed": Change(
        {"order_id": ..., "order": str},
        "$.order_id is renamed to order",
        consumers=True,
        history=True,
    ),
    "optional field renamed": Change(
        {"size": ..., "length": (int, 7)},
        "$.size is renamed to length",
        consumers=True,
        history=True,
        silent=True,
    ),
    "required field added": Change({"carrier": str}, "$.carrier is new and required", history=True),
    "field may be left out": Change(
        {"currency": (BEFORE["currency"], "EUR")},
        "$.currency may be left out now",
        consumers=True,
    ),
    "field must be there": Change({"size": int}, "$.size may no longer be left out", history=True),
    "enum value removed": Change(
        {"kind": FewerKinds}, "$.kind can no longer be 'sea'", history=True
    ),
    "enum value added": Change(
        {"kind": MoreKinds}, "$.kind can now be 'rail', too", consumers=True
    ),
    "enum in place of a text": Change(
        {"order_id": Kind}, "$.order_id can only be 'air', 'sea' now", history=True
    ),
    "text in place of an enum": Change(
        {"kind": str}, "$.kind can be anything now, not only 'air', 'sea'", consumers=True
    ),
    "least value raised": Change(
        {"amount_minor": Annotated[int, Meta(ge=10**11, le=10**12)]},
        "$.amount_minor is changed: the least value is 100000000000, was 0",
        history=True,
    ),
    "greatest value lowered deep inside": Change(
        {"lines": Annotated[list[SmallLine], Meta(min_length=1, max_length=4)]},
        "$.lines[].quantity is changed: the greatest value is 3, was 100",
        history=True,
    ),
    "greatest value gone": Change(
        {"amount_minor": Annotated[int, Meta(ge=0)]},
        "$.amount_minor is no longer limited: the greatest value was 1000000000000",
        consumers=True,
    ),
    "length limited": Change(
        {"order_id": Annotated[str, Meta(max_length=1)]},
        "$.order_id is limited: the greatest length is 1 now",
        history=True,
    ),
    "more elements": Change(
        {"lines": Annotated[list[Line], Meta(min_length=1, max_length=9)]},
        "$.lines is changed: the greatest number of elements is 9, was 4",
        consumers=True,
    ),
    "fewer elements may do": Change(
        {"lines": Annotated[list[Line], Meta(max_length=4)]},
        "$.lines is no longer limited: the least number of elements was 1",
        consumers=True,
    ),
    "pattern changed": Change(
        {"currency": Annotated[str, Meta(pattern="^[a-z]{3}$")]},
        "$.currency is changed: pattern is ^[a-z]{3}$, was ^[A-Z]{3}$",
        consumers=True,
        history=True,
    ),
    "pattern added": Change(
        {"order_id": Annotated[str, Meta(pattern="^[0-9]+$")]},
        "$.order_id is limited: pattern is ^[0-9]+$ now",
        history=True,
    ),
    "money as a fraction": Change(
        {"amount_minor": Annotated[float, Meta(ge=0, le=10**12)]},
        "$.amount_minor (Money in minor units) is of type number, was integer",
        consumers=True,
    ),
    "money as a text": Change(
        {"amount_minor": str},
        "$.amount_minor (Money in minor units) is of type string, was integer",
        consumers=True,
        history=True,
    ),
    "time as a number": Change(
        {"at": int},
        "$.at is of type integer, was date-time string",
        consumers=True,
        history=True,
    ),
    "time as any text": Change(
        {"at": str},
        "$.at is of type string, was date-time string",
        consumers=True,
    ),
    "nothing in place of a value": Change(
        {"currency": BEFORE["currency"] | None},
        "$.currency can now be null, too",
        consumers=True,
    ),
    "a value in place of nothing": Change(
        {"note": (str, None)}, "$.note can no longer be null", history=True
    ),
    "values of a map": Change(
        {"tags": dict[str, bool]},
        "$.tags.* is of type boolean, was integer",
        consumers=True,
        history=True,
    ),
    "another meaning of silence": Change(
        {"size": (int, 8)},
        "$.size means 8 where it is left out, meant 7",
        consumers=True,
        history=True,
        silent=True,
    ),
}
HARMLESS: dict[str, dict[str, Any]] = {
    "nothing changed": {},
    "optional field added": {"carrier": (str | None, None)},
    "optional field added deep inside": {
        "lines": Annotated[list[LineWithNote], Meta(min_length=1, max_length=4)]
    },
    "a class has another name": {
        "lines": Annotated[list[Row], Meta(min_length=1, max_length=4)]
    },
    "described in other words": {
        "amount_minor": Annotated[
            int, Meta(ge=0, le=10**12, description="What it costs", examples=[7])
        ]
    },
    "a field should no longer be used": {
        "amount_minor": Annotated[
            int, Meta(ge=0, le=10**12, extra_json_schema={"deprecated": True, "$comment": "see …"})
        ]
    },
}  # fmt: skip
OLD = event({})


LETTERS = st.characters(codec="utf-8")


def generated(kind: Any) -> st.SearchStrategy[Any]:
    """Generates JSON of a type from msgspec, independently of the schemas under test."""
    return MAKERS[type(kind)](kind)


def text(kind: inspect.StrType) -> st.SearchStrategy[str]:
    if kind.pattern:
        return st.from_regex(kind.pattern, fullmatch=True).map(str.strip)
    return st.text(LETTERS, min_size=kind.min_length or 0, max_size=kind.max_length)


def fields(kind: inspect.StructType) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {each.name: generated(each.type) for each in kind.fields if each.required},
        optional={each.name: generated(each.type) for each in kind.fields if not each.required},
    )


MAKERS: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    inspect.Metadata: lambda kind: generated(kind.type),
    inspect.IntType: lambda kind: st.integers(kind.ge, kind.le),
    inspect.FloatType: lambda kind: st.floats(kind.ge, kind.le),
    inspect.BoolType: lambda kind: st.booleans(),
    inspect.NoneType: lambda kind: st.none(),
    inspect.DateTimeType: lambda kind: st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    inspect.EnumType: lambda kind: st.sampled_from([each.value for each in kind.cls]),
    inspect.UnionType: lambda kind: st.one_of(*map(generated, kind.types)),
    inspect.ListType: lambda kind: st.lists(
        generated(kind.item_type), min_size=kind.min_length or 0, max_size=kind.max_length
    ),
    inspect.DictType: lambda kind: st.dictionaries(st.text(LETTERS), generated(kind.value_type)),
    inspect.StrType: text,
    inspect.StructType: fields,
}


def changes(new: type[Event]) -> list[Breaking]:
    return breaking_changes(data_schema(OLD), data_schema(new))


@cache
def sent(data_of: type[Event]) -> tuple[str, ...]:
    """Generated data of a class as JSON."""
    wires: list[str] = []

    @settings(max_examples=12)
    @given(generated(inspect.type_info(data_of)))
    def send(data: Any) -> None:
        wire = json.dumps(data)
        msgspec.json.decode(wire, type=data_of)
        wires.append(wire)

    send()
    assert len(wires) >= 12
    return tuple(wires)


def readable(data_of: type[Event], by: type[Event]) -> Iterator[bool]:
    """Whether each generated message of one class can be decoded as another class."""
    for wire in sent(data_of):
        try:
            msgspec.json.decode(wire, type=by)
        except msgspec.ValidationError:
            yield False
        else:
            yield True


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING)
def test_a_breaking_change_is_reported_with_its_path_and_who_is_affected(change: Change) -> None:
    found = changes(event(change.changes))
    assert [str(each) for each in found] == [change.says]
    assert [(each.consumers, each.history) for each in found] == [
        (change.consumers, change.history)
    ]


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING)
def test_a_change_breaks_exactly_the_readers_in_its_finding(change: Change) -> None:
    new = event(change.changes)
    new_data_for_old_consumers = all(readable(new, by=OLD))
    old_data_for_the_new_class = all(readable(OLD, by=new))
    assert new_data_for_old_consumers == (change.silent or not change.consumers)
    assert old_data_for_the_new_class == (change.silent or not change.history)


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_a_harmless_change_has_no_finding(change: dict[str, Any]) -> None:
    new = event(change)
    assert changes(new) == []
    assert all(readable(new, by=OLD))
    assert all(readable(OLD, by=new))


def test_all_breaking_changes_are_reported_at_once() -> None:
    found = changes(event({"currency": ..., "kind": FewerKinds, "carrier": str}))
    assert [each.path for each in found] == ["$.currency", "$.kind", "$.carrier"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"prefixItems": [{"type": "string"}]}, {"prefixItems": [{"type": "integer"}]}),
        ({"multipleOf": 2}, {"multipleOf": 3}),
        ({}, {"uniqueItems": True}),
        ({"prefixItems": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"minimum": 1}}},
         {"prefixItems": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"minimum": 2}}}),
        ({"anyOf": [{"type": "object", "title": "A"}, {"type": "null"}]}, {"type": "object",
         "required": ["a"], "properties": {"a": {}}}),
    ],
)  # fmt: skip
def test_rare_keywords_are_compared_too(old: Any, new: Any) -> None:
    assert breaking_changes(old, old) == []
    assert breaking_changes(old, new)
    assert breaking_changes(new, old)


def test_a_new_field_breaks_an_object_without_additional_properties() -> None:
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    more = {**closed, "properties": {"a": {"type": "string"}}}
    (found,) = breaking_changes(closed, more)
    assert (str(found), found.consumers) == ("$.a is new where nothing may be", True)


def test_alternative_objects_are_compared_by_title() -> None:
    def either(*names: str, required: str = "") -> Schema:
        return {
            "anyOf": [
                {
                    "type": "object",
                    "title": name,
                    "properties": {name: {"type": "string"}, "a": {"type": "string"}},
                    "required": [required] if required else [],
                }
                for name in names
            ]
        }

    assert breaking_changes(either("One", "Two"), either("Two", "One")) == []
    (gone,) = breaking_changes(either("One", "Two"), either("Two"))
    assert str(gone) == "$ can no longer be object One"
    found = breaking_changes(either("One", "Two"), either("Two", required="a"))
    assert [str(each) for each in found] == [
        "$.a may no longer be left out",
        "$ can no longer be object One",
    ]
