"""Mutation operators for templates: each weakens one property of one resource.

`standard_operators` returns those of `weakening.toml`, and `read_operators` reads further ones.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource, Template, listed

__all__ = ["ANY", "REMOVED", "Change", "Mutant", "MutationOperator", "mutants", "weaken"]
__all__ += ["read_operators", "standard_operators"]
__all__ += ["add", "drop", "drop_first", "merge", "multiply", "remove", "replace", "widen"]

Change = Callable[[Any], Any]
"""Returns a weaker value, REMOVED, or the value itself if there is nothing to weaken."""

REMOVED = object()
"""The result of a change that removes the property."""

ANY = "*"
"""Resources of all types."""

_MARK = "\N{SYMBOL FOR ESCAPE}"


@dataclass(frozen=True)
class MutationOperator:
    """A way to weaken resources of a type, at each property to which the path leads.

    The path starts at the properties. `*` stands for each element of a list or value of a mapping.
    A path that begins with `^` starts at the resource, and an empty path means the whole resource.
    A path through a state machine's `Definition`, or through a text with JSON, leads into it.
    """

    name: str
    type: str
    path: str
    change: Change


@dataclass(frozen=True)
class Mutant:
    """An assembly in which one operator has weakened one resource."""

    operator: MutationOperator
    resource: Resource
    property: str
    """The weakened property, as in `Targets.0.RetryPolicy`; empty for the whole resource."""
    weakened: Any
    """The weakened resource as its template states it, or REMOVED."""

    def of(self, assembly: Assembly) -> Assembly:
        """Returns a copy of the assembly with this one resource weakened."""
        template = assembly.templates[self.resource.stack]
        resources = {**template["Resources"], self.resource.logical_id: self.weakened}
        if self.weakened is REMOVED:
            del resources[self.resource.logical_id]
        changed: Template = {**template, "Resources": resources}
        return Assembly({**assembly.templates, self.resource.stack: changed})

    def __str__(self) -> str:
        """The operator, the resource and the property."""
        return f"{self.operator.name} | {self.resource.path} | {self.property}"


# -- changes --------------------------------------------------------------------------------


def remove(*, unless: Any = REMOVED) -> Change:
    """Removes a value, except a value that equals `unless`."""
    return lambda value: value if value == unless else REMOVED


def replace(*, to: Any) -> Change:
    """Replaces a value."""
    return lambda _: to


def multiply(*, by: float) -> Change:
    """Multiplies a number."""
    return lambda value: type(value)(value * by)


def add(*, value: Any) -> Change:
    """Adds an element to a list, or to a single value."""
    return lambda present: present if value in listed(present) else [*listed(present), value]


def merge(*, value: Mapping[str, Any]) -> Change:
    """Adds entries to a mapping."""
    return lambda present: {**present, **value}


def drop(*, containing: str) -> Change:
    """Removes the elements that contain a text from a list."""
    return lambda elements: [each for each in elements if containing not in json.dumps(each)]


def drop_first() -> Change:
    """Removes the first element of a list with several."""
    return lambda value: value[1:] if isinstance(value, list) and len(value) > 1 else value


def widen() -> Change:
    """Widens IAM actions to all actions of their services."""
    return lambda actions: sorted({f"{a.partition(':')[0]}:*" for a in listed(actions)})


_CHANGES: dict[str, Callable[..., Change]] = {
    "remove": remove,
    "set": replace,
    "multiply": multiply,
    "add": add,
    "merge": merge,
    "drop": drop,
    "drop_first": drop_first,
    "widen": widen,
}


def read_operators(path: Path) -> tuple[MutationOperator, ...]:
    """Reads operators from a TOML file such as `weakening.toml`.

    Raises ValueError if a change is unknown or has other options than it takes.
    """
    found = []
    for types, operators in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for name, entry in operators.items():
            (verb, target), *options = entry.items()
            try:
                change = _CHANGES[verb](**dict(options))
            except (KeyError, TypeError) as error:
                raise ValueError(
                    f'{path.name}, "{name}": {entry} is no change: begin with one of '
                    f"{', '.join(_CHANGES)} and give its options"
                ) from error
            for type_ in types.split():
                named = name.format(type=type_.rpartition(":")[2])
                found.append(MutationOperator(named, type_, target, change))
    return tuple(found)


@cache
def standard_operators() -> tuple[MutationOperator, ...]:
    """Returns operators for the properties that keep an AWS application reliable and secure."""
    return read_operators(Path(__file__).with_suffix(".toml"))


# -- mutants --------------------------------------------------------------------------------


def mutants(
    assembly: Assembly, operators: Iterable[MutationOperator], *, each: int | None = None
) -> Iterator[Mutant]:
    """Yields the mutants of an assembly, by operator and resource.

    `each` limits how many resources of one shape an operator weakens: the same checks find a
    weakness in all resources that one construct creates.
    """
    for operator in operators:
        shapes: dict[str, list[Mutant]] = {}
        everything = operator.type == ANY
        for resource in assembly.resources if everything else assembly.all_of(operator.type):
            for mutant in _of_resource(operator, resource):
                shapes.setdefault(_shape(mutant), []).append(mutant)
        for alike in shapes.values():
            step = max(1, len(alike) // (each or len(alike)))
            yield from alike[::step][:each]


def _of_resource(operator: MutationOperator, resource: Resource) -> Iterator[Mutant]:
    if not operator.path:
        yield Mutant(operator, resource, "", REMOVED)
        return
    path = operator.path.split(".")
    path = [path[0][1:], *path[1:]] if path[0].startswith("^") else ["Properties", *path]
    for location, weakened in weaken(resource.definition, path, operator.change):
        yield Mutant(operator, resource, location.removeprefix("Properties."), weakened)


def _shape(mutant: Mutant) -> str:
    properties = mutant.resource.properties
    location = "".join("*" if part.isdigit() else part for part in mutant.property.split("."))
    metric = [properties.get("MetricName"), properties.get("Namespace")]
    return json.dumps([location, sorted(properties), metric])


def weaken(value: Any, path: Sequence[str], change: Change) -> Iterator[tuple[str, Any]]:
    """Yields each location to which the path leads, with a copy of the value changed there.

    The path is as in `MutationOperator`. A last element with `?` is added if it is missing.
    """
    if not path:
        changed = change(value)
        if changed is REMOVED or changed != value:
            yield "", changed
    elif isinstance(value, str):
        # A principal may be "*" instead of a mapping.
        inner = json.loads(value) if value.startswith("{") else {}
        for location, changed in weaken(inner, path, change):
            yield location, json.dumps(changed)
    elif isinstance(value, list) and path[0] == "*":
        for index, element in enumerate(value):
            for location, changed in weaken(element, path[1:], change):
                instead = [] if changed is REMOVED else [changed]
                yield _join(str(index), location), [*value[:index], *instead, *value[index + 1 :]]
    elif isinstance(value, Mapping):
        yield from _weaken_mapping(value, path[0], path[1:], change)


def _weaken_mapping(
    value: Mapping[str, Any], name: str, rest: Sequence[str], change: Change
) -> Iterator[tuple[str, dict[str, Any]]]:
    if name == "Definition":
        for location, changed in weaken(_definition(value), rest, change):
            yield f"Definition.{location}", _with_definition(value, changed)
    elif name.endswith("?"):
        yield name[:-1], {**value, name[:-1]: change(None)}
    else:
        for key in [key for key in value if fnmatchcase(key, name)]:
            for location, changed in weaken(value[key], rest, change):
                others = {other: kept for other, kept in value.items() if other != key}
                instead = {} if changed is REMOVED else {key: changed}
                yield _join(key, location), {**others, **instead}


def _join(outer: str, inner: str) -> str:
    return f"{outer}.{inner}" if inner else outer


def _definition(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a state machine's definition, with a number in place of each reference."""
    parts = properties["DefinitionString"]["Fn::Join"][1]
    text = "".join(
        part if isinstance(part, str) else f"{_MARK}{number}{_MARK}"
        for number, part in enumerate(parts)
    )
    definition: dict[str, Any] = json.loads(text)
    return definition


def _with_definition(properties: Mapping[str, Any], definition: Any) -> dict[str, Any]:
    parts = properties["DefinitionString"]["Fn::Join"][1]
    pieces = json.dumps(definition, ensure_ascii=False).split(_MARK)
    joined = [parts[int(piece)] if n % 2 else piece for n, piece in enumerate(pieces)]
    return {**properties, "DefinitionString": {"Fn::Join": ["", joined]}}
