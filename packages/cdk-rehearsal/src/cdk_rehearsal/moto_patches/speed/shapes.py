"""Copies of API parameters and answers, checked against their model on the way.

botocore's model of an operation is compiled into functions once. They support the common types:
strings, numbers, booleans, lists and maps. Any other type or value raises Unusual.
"""

import base64
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from botocore.utils import parse_timestamp

Copy = Callable[[Any], Any]


class Unusual(Exception):
    """A value that does not match its model, or has an unsupported type."""


def parameters_copy(shape: Any, *, as_json: bool) -> Copy:
    """Returns a function that copies valid parameters into the form that the service receives.

    With ``as_json``, bytes become base64 text. Copying raises Unusual for all other parameters.
    """
    return _Compiler(answers=False, as_json=as_json).copy(shape)


def answer_copy(shape: Any) -> Copy:
    """Returns a function that copies an answer for the client, without members that are None."""
    return (lambda _: {}) if shape is None else _Compiler(answers=True, as_json=False).copy(shape)


class _Compiler:
    def __init__(self, *, answers: bool, as_json: bool) -> None:
        self._answers = answers
        self._as_json = as_json
        self._known: dict[str, Copy] = {}

    def copy(self, shape: Any) -> Copy:
        """Returns a function that copies values of a shape."""
        if shape.name not in self._known:
            # A shape may contain itself.
            self._known[shape.name] = partial(self._later, shape.name)
            make = getattr(self, f"_{shape.type_name}", None)
            self._known[shape.name] = make(shape) if make else _refuse
        return self._known[shape.name]

    def _later(self, name: str, value: Any) -> Any:
        return self._known[name](value)

    def _structure(self, shape: Any) -> Copy:
        if shape.name == "AttributeValue":
            return _same if self._answers else attribute_value
        if shape.is_tagged_union or shape.is_document_type:
            return _refuse
        members = {name: self.copy(member) for name, member in shape.members.items()}
        return _answer(members) if self._answers else _parameters(members, shape.required_members)

    def _list(self, shape: Any) -> Copy:
        copy = self.copy(shape.member)
        least = self._least(shape)

        def copied(value: Any) -> Any:
            if type(value) is not list or len(value) < least:
                raise Unusual
            return [copy(part) for part in value]

        return copied

    def _map(self, shape: Any) -> Copy:
        key, copy = self.copy(shape.key), self.copy(shape.value)

        def copied(value: Any) -> Any:
            if type(value) is not dict:
                raise Unusual
            return {key(name): copy(part) for name, part in value.items()}

        return copied

    def _string(self, shape: Any) -> Copy:
        least = self._least(shape)
        if not least:
            return _text

        def copied(value: Any) -> Any:
            if type(value) is not str or len(value) < least:
                raise Unusual
            return value

        return copied

    def _integer(self, shape: Any) -> Copy:
        least = self._least(shape, default=float("-inf"))

        def copied(value: Any) -> Any:
            if type(value) is not int or value < least:
                raise Unusual
            return value

        return copied

    _long = _integer

    def _double(self, _: Any) -> Copy:
        return _number if self._answers else _refuse

    def _boolean(self, _: Any) -> Copy:
        return _flag

    def _blob(self, _: Any) -> Copy:
        return _base64 if self._as_json else _refuse

    def _timestamp(self, shape: Any) -> Copy:
        usual = shape.serialization.get("timestampFormat", "unixTimestamp") == "unixTimestamp"
        return _moment if self._answers and usual else _refuse

    def _least(self, shape: Any, default: float = 0) -> float:
        """Returns the minimum length or value. Answers are not checked."""
        return default if self._answers else shape.metadata.get("min", default)


def _parameters(members: dict[str, Copy], required: list[str]) -> Copy:
    needed = frozenset(required)

    def copied(value: Any) -> Any:
        if type(value) is not dict or not needed <= value.keys():
            raise Unusual
        try:
            return {name: members[name](part) for name, part in value.items()}
        except KeyError:
            raise Unusual from None

    return copied


def _answer(members: dict[str, Copy]) -> Copy:
    def copied(value: Any) -> Any:
        if type(value) is not dict:
            raise Unusual
        try:
            return {name: members[name](part) for name, part in value.items() if part is not None}
        except KeyError:
            # The member has another name in moto.
            raise Unusual from None

    return copied


def attribute_value(value: Any) -> Any:
    """Copies a DynamoDB value: an object whose one key is the type."""
    if type(value) is not dict or len(value) != 1:
        raise Unusual
    ((kind, content),) = value.items()
    if kind in _SCALARS:
        if type(content) is not _SCALARS[kind]:
            raise Unusual
        return {kind: content}
    if kind == "M" and type(content) is dict:
        return {"M": {_text(name): attribute_value(part) for name, part in content.items()}}
    if kind == "L" and type(content) is list:
        return {"L": [attribute_value(part) for part in content]}
    if kind in {"SS", "NS"} and type(content) is list:
        return {kind: [_text(part) for part in content]}
    raise Unusual


_SCALARS = {"S": str, "N": str, "BOOL": bool, "NULL": bool}


def _text(value: Any) -> Any:
    if type(value) is not str:
        raise Unusual
    return value


def _number(value: Any) -> Any:
    if type(value) is not int and type(value) is not float:
        raise Unusual
    return value


def _flag(value: Any) -> Any:
    if type(value) is not bool:
        raise Unusual
    return value


def _base64(value: Any) -> Any:
    if type(value) is not bytes:
        raise Unusual
    return base64.b64encode(value).decode()


def _moment(value: Any) -> Any:
    """Returns a time as JSON would transmit it: rounded down to milliseconds."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Unusual
    cut = value.replace(microsecond=value.microsecond // 1000 * 1000)
    seconds: Any = cut.timestamp()
    return parse_timestamp(seconds)


def _same(value: Any) -> Any:
    return value


def _refuse(_: Any) -> Any:
    raise Unusual
