"""Generates values that are valid by a JSON Schema, for tests of all events."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from stacks.schemas.json_schema import Schema

Values = st.SearchStrategy[Any]

_REF = "#/$defs/"
_SAYS_NOTHING = {"$schema", "$id", "$defs", "title", "description", "examples", "default", "type"}
# RFC 3339 has offsets in minutes. Historical time zones have seconds, too.
_OFFSETS = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_MOST_ELEMENTS = 3
_LONGEST = 60


def values_of(schema: Schema) -> Values:
    """Returns values that are valid by a schema of `stacks.schemas.json_schema`.

    They have no undeclared fields. Raises NotImplementedError for an unknown keyword, because
    ignoring it would generate invalid values.
    """
    return _Maker(schema.get("$defs", {})).of(schema)


class _Maker:
    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def of(self, schema: Schema) -> Values:
        if "$ref" in schema:
            return self.of(self._definitions[schema["$ref"].removeprefix(_REF)])
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "anyOf" in schema:
            return st.one_of([self.of(each) for each in schema["anyOf"]])
        makers: Mapping[str | None, Callable[..., Values]] = {
            "string": self._string,
            "integer": self._integer,
            "boolean": st.booleans,
            "null": st.none,
            "array": self._array,
            "object": self._object,
        }
        make = makers.get(schema.get("type"))
        if make is None:
            raise NotImplementedError(f"no values are known for {schema}")
        keywords = {key: value for key, value in schema.items() if key not in _SAYS_NOTHING}
        try:
            return make(**keywords)
        except TypeError:
            raise NotImplementedError(f"a keyword of {schema} is not known") from None

    def _string(
        self,
        *,
        minLength: int = 0,  # noqa: N803 - the keywords of JSON Schema
        maxLength: int = _LONGEST,  # noqa: N803
        pattern: str | None = None,
        format: str | None = None,  # noqa: A002
    ) -> Values:
        if format == "date-time":
            return st.datetimes(timezones=_OFFSETS).map(datetime.isoformat)
        if format == "uuid":
            return st.uuids().map(str)
        if format is not None:
            raise NotImplementedError(f"strings of format {format} are not known")
        if pattern is not None:
            fitting = st.from_regex(pattern)
            return fitting.filter(lambda text: minLength <= len(text) <= max(maxLength, _LONGEST))
        longest = max(minLength, min(maxLength, _LONGEST))
        # JSON can only contain characters that can be encoded.
        characters = st.characters(codec="utf-8")
        return st.text(characters, min_size=minLength, max_size=longest)

    def _integer(self, *, minimum: int | None = None, maximum: int | None = None) -> Values:
        return st.integers(minimum, maximum)

    def _array(
        self,
        *,
        items: Schema,
        minItems: int = 0,  # noqa: N803
        maxItems: int = _MOST_ELEMENTS,  # noqa: N803
    ) -> Values:
        most = max(minItems, min(maxItems, _MOST_ELEMENTS))
        return st.lists(self.of(items), min_size=minItems, max_size=most)

    def _object(
        self,
        *,
        properties: Mapping[str, Schema] | None = None,
        required: list[str] | None = None,
        additionalProperties: Schema | bool | None = None,  # noqa: N803
    ) -> Values:
        if isinstance(additionalProperties, dict):
            texts = st.text(st.characters(codec="utf-8"), max_size=_LONGEST)
            return st.dictionaries(texts, self.of(additionalProperties), max_size=_MOST_ELEMENTS)
        strategies = {name: self.of(field) for name, field in (properties or {}).items()}
        needed = set(required or ())
        return st.fixed_dictionaries(
            {name: each for name, each in strategies.items() if name in needed},
            optional={name: each for name, each in strategies.items() if name not in needed},
        )
