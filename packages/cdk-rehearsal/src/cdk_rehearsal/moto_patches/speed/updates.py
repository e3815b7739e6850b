"""Evaluates common update expressions on attributes and members of maps directly."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

from cdk_rehearsal.moto_patches.entries import Entry

_TOKEN = re.compile(r"\s*([#:]?\w+|[=+\-(),.])", re.ASCII)
_CLAUSES = frozenset({"SET", "REMOVE", "ADD"})


@dataclass(frozen=True, slots=True)
class _Operand:
    """A value, or the path of an attribute with a default value."""

    path: tuple[str, ...]
    default: str | None = None


@dataclass(frozen=True, slots=True)
class _Action:
    """An assignment of an operand, a sum or a difference to a path; or its removal.

    A path is the name of an attribute, followed by the names of members of nested maps.
    """

    clause: str
    target: tuple[str, ...]
    first: _Operand | None = None
    operator: str | None = None
    second: _Operand | None = None


class _Unknown(Exception):
    """The expression or the item is too uncommon: moto evaluates it."""


@lru_cache(4096)
def update_plan(expression: str) -> tuple[_Action, ...] | None:
    """Returns the actions of an update expression; None if it has uncommon ones."""
    try:
        return tuple(_Reader(expression).actions())
    except _Unknown:
        return None


class _Reader:
    def __init__(self, expression: str) -> None:
        self._tokens = list[str]()
        position = 0
        text = expression.strip()
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                raise _Unknown
            self._tokens.append(token[1])
            position = token.end()
        self._tokens.reverse()

    def actions(self) -> list[_Action]:
        found = list[_Action]()
        clauses = set[str]()
        while self._tokens:
            clause = self._tokens.pop().upper()
            if clause not in _CLAUSES or clause in clauses:
                raise _Unknown
            clauses.add(clause)
            found.append(self._action(clause))
            while self._next_is(","):
                found.append(self._action(clause))
        return found

    def _action(self, clause: str) -> _Action:
        target = self._path()
        if clause != "SET" and len(target) > 1:
            raise _Unknown
        if clause == "REMOVE":
            return _Action(clause, target)
        if clause == "ADD":
            return _Action(clause, target, _Operand(target, ""), "+", self._value())
        self._expect("=")
        first = self._operand()
        for operator in "+-":
            if self._next_is(operator):
                return _Action(clause, target, first, operator, self._operand())
        return _Action(clause, target, first)

    def _operand(self) -> _Operand:
        if self._peek().startswith(":"):
            return self._value()
        if self._peek() == "if_not_exists":
            self._tokens.pop()
            self._expect("(")
            path = self._path()
            self._expect(",")
            default = self._value().path[0]
            self._expect(")")
            return _Operand(path, default)
        return _Operand(self._path())

    def _path(self) -> tuple[str, ...]:
        names = [self._name()]
        while self._next_is("."):
            names.append(self._name())
        return tuple(names)

    def _name(self) -> str:
        token = self._pop()
        plain = token.isidentifier() and token.upper() not in _reserved()
        if not plain and not (token.startswith("#") and len(token) > 1):
            raise _Unknown
        return token

    def _value(self) -> _Operand:
        token = self._pop()
        if not token.startswith(":"):
            raise _Unknown
        return _Operand((token,))

    def _peek(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _pop(self) -> str:
        if not self._tokens:
            raise _Unknown
        return self._tokens.pop()

    def _next_is(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._tokens.pop()
        return True

    def _expect(self, token: str) -> None:
        if not self._next_is(token):
            raise _Unknown


@lru_cache(1)
def _reserved() -> frozenset[str]:
    return frozenset(word.upper() for word in ReservedKeywords.get_reserved_keywords())


def updated(
    plan: tuple[_Action, ...],
    entry: Entry,
    key: dict[str, Any],
    names: dict[str, str],
    values: dict[str, Any],
) -> Item | None:
    """Returns a new item after the actions; None if moto has to evaluate or refuse them."""
    table = entry.table
    attributes: dict[str, DynamoType] = entry.item.attrs if entry.item is not None else {}
    keys = table.table_key_attrs
    indexed = {each["AttributeName"]: each["AttributeType"] for each in table.attr}
    changes = dict[str, DynamoType | None]()
    try:
        for action in plan:
            target, *inner = (_named(name, names) for name in action.target)
            if target in changes or target in keys:
                return None
            result = _result(action, attributes, names, values)
            # A removal may take an item out of an index, but moto checks the values of its keys.
            if target in indexed and result is not None and not _suits(result, indexed[target]):
                return None
            changes[target] = _within(attributes.get(target), inner, result) if inner else result
    except _Unknown:
        return None
    if entry.item is None and not _is_key_of(table, key):
        return None
    item: Any = object.__new__(Item)
    item.hash_key, item.range_key = entry.hash_key, entry.range_key
    item.attrs = LimitedSizeDict.__new__(LimitedSizeDict)
    known = attributes or {name: DynamoType(value) for name, value in key.items()}
    for name, value in {**known, **changes}.items():
        if value is not None:
            dict.__setitem__(item.attrs, name, value)
    return cast(Item, item)


def _suits(value: DynamoType, key_type: str) -> bool:
    """Whether the key of an index may have a value: a number, or a text that is not empty."""
    return value.type == key_type and (
        value.type == "N" or (value.type == "S" and value.value != "")
    )


def _is_key_of(table: Table, key: dict[str, Any]) -> bool:
    types = {attribute["AttributeName"]: attribute["AttributeType"] for attribute in table.attr}
    return key.keys() == set(table.table_key_attrs) and all(
        next(iter(value)) == types[name] and next(iter(value.values())) != ""
        for name, value in key.items()
    )


def _within(
    value: DynamoType | None, path: list[str], result: DynamoType | None
) -> DynamoType | None:
    """Returns a copy of the map `value` with `result` at a path."""
    if value is None or value.type != "M" or result is None:
        raise _Unknown
    name, *inner = path
    members: dict[str, DynamoType] = value.value
    changed: Any = object.__new__(DynamoType)
    changed.type = "M"
    within = _within(members.get(name), inner, result) if inner else result
    changed.value = {**members, name: within}
    return cast(DynamoType, changed)


def _named(token: str, names: dict[str, str]) -> str:
    if not token.startswith("#"):
        return token
    if token not in names:
        raise _Unknown
    return names[token]


def _result(
    action: _Action,
    attributes: dict[str, DynamoType],
    names: dict[str, str],
    values: dict[str, Any],
) -> DynamoType | None:
    if action.first is None:
        return None
    first = _evaluated(action.first, attributes, names, values)
    if action.second is None:
        return first
    second = _evaluated(action.second, attributes, names, values)
    if second is None or second.type != "N":
        raise _Unknown
    if first is None:
        return second
    if first.type != "N":
        raise _Unknown
    return first + second if action.operator == "+" else first - second


def _evaluated(
    operand: _Operand,
    attributes: dict[str, DynamoType],
    names: dict[str, str],
    values: dict[str, Any],
) -> DynamoType | None:
    """Returns the operand's value; None only for an attribute that ADD creates."""
    token: str | None = operand.path[0]
    if not operand.path[0].startswith(":"):
        value = _found(attributes, [_named(name, names) for name in operand.path])
        if value is not None:
            return value
        token = operand.default
    if token == "":
        return None
    if token not in values:
        raise _Unknown
    return DynamoType(values[token])


def _found(attributes: dict[str, DynamoType], path: list[str]) -> DynamoType | None:
    name, *inner = path
    value = attributes.get(name)
    if not inner or value is None:
        return value
    if value.type != "M":
        raise _Unknown
    return _found(value.value, inner)
