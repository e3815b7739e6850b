"""Mutants: the templates with one property weakened."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from cdk_rehearsal import Assembly, Resource, Template
from tools.mutation.operators import ANY, DELETED, OPERATORS, Change, Operator

_MARK = "\N{SYMBOL FOR ESCAPE}"


@dataclass(frozen=True)
class Mutant:
    """One way to weaken one resource."""

    operator: Operator
    resource: Resource
    place: str
    """Where in the resource, as in `Targets.0.RetryPolicy`."""
    weakened: Any
    """The resource as it then is in its template, or DELETED."""

    def of(self, assembly: Assembly) -> Assembly:
        """The assembly with this one resource weakened; the given one stays as it is."""
        stack = self.resource.stack
        template = assembly.templates[stack]
        resources = {**template["Resources"], self.resource.logical_id: self.weakened}
        if self.weakened is DELETED:
            del resources[self.resource.logical_id]
        changed: Template = {**template, "Resources": resources}
        return Assembly({**assembly.templates, stack: changed})

    def __str__(self) -> str:
        """What is weakened, and where."""
        return f"{self.operator.name} | {self.resource.path} | {self.place}"


def mutants(
    assembly: Assembly, operators: Sequence[Operator] = OPERATORS, *, each: int | None = None
) -> Iterator[Mutant]:
    """All mutants of an assembly, by operators and resources.

    With `each`, so many of every operator and shape at most: resources that are made by the same
    construct are weakened, and noticed, in the same way.
    """
    for operator in operators:
        shapes: dict[str, list[Mutant]] = {}
        everything = operator.type == ANY
        for resource in assembly.resources if everything else assembly.all_of(operator.type):
            for mutant in _of_resource(operator, resource):
                shapes.setdefault(_shape(mutant), []).append(mutant)
        for alike in shapes.values():
            yield from _spread(alike, each or len(alike))


def _of_resource(operator: Operator, resource: Resource) -> Iterator[Mutant]:
    definition = resource.definition
    if not operator.path:
        yield Mutant(operator, resource, "", DELETED)
        return
    path = operator.path.split(".")
    if path[0].startswith("^"):
        path[0] = path[0][1:]
    else:
        path = ["Properties", *path]
    for place, weakened in weaken(definition, path, operator.change):
        yield Mutant(operator, resource, place.removeprefix("Properties."), weakened)


def weaken(value: Any, path: Sequence[str], change: Change) -> Iterator[tuple[str, Any]]:
    """`value` changed at one place that `path` leads to, for each such place where that changes it.

    Where the path leads into a text, that is JSON; `Definition` is that of a state machine. A last
    element that ends in `?` is added where it is not there.
    """
    if not path:
        changed = change(value)
        if changed is DELETED or changed != value:
            yield "", changed
    elif isinstance(value, str):
        # A principal may be "*" where others are mappings: there is nothing in it to weaken.
        inner = json.loads(value) if value.startswith("{") else {}
        for place, changed in weaken(inner, path, change):
            yield place, json.dumps(changed)
    elif isinstance(value, list):
        yield from _in_list(value, path, change)
    elif path[0] == "Definition":
        for place, changed in weaken(_definition(value), path[1:], change):
            yield f"Definition.{place}", _with_definition(value, changed)
    elif isinstance(value, Mapping):
        yield from _in_mapping(value, path, change)


def _in_list(
    value: list[Any], path: Sequence[str], change: Change
) -> Iterator[tuple[str, list[Any]]]:
    if path[0] != "*":
        return
    for index, element in enumerate(value):
        for place, changed in weaken(element, path[1:], change):
            instead = [] if changed is DELETED else [changed]
            yield _place(str(index), place), [*value[:index], *instead, *value[index + 1 :]]


def _in_mapping(
    value: Mapping[str, Any], path: Sequence[str], change: Change
) -> Iterator[tuple[str, dict[str, Any]]]:
    name = path[0]
    if name.endswith("?"):
        yield name[:-1], {**value, name[:-1]: change(None)}
        return
    for key in [key for key in value if fnmatchcase(key, name)]:
        for place, changed in weaken(value[key], path[1:], change):
            others = {other: kept for other, kept in value.items() if other != key}
            yield _place(key, place), others if changed is DELETED else {**others, key: changed}


def _place(outer: str, inner: str) -> str:
    return f"{outer}.{inner}" if inner else outer


def _definition(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What a state machine does; a number stands for each reference."""
    parts = properties["DefinitionString"]["Fn::Join"][1]
    text = "".join(
        part if isinstance(part, str) else f"{_MARK}{number}{_MARK}"
        for number, part in enumerate(parts)
    )
    definition: dict[str, Any] = json.loads(text)
    return definition


def _with_definition(properties: Mapping[str, Any], definition: Any) -> dict[str, Any]:
    parts = properties["DefinitionString"]["Fn::Join"][1]
    text = json.dumps(definition, ensure_ascii=False)
    joined: list[Any] = []
    for number, piece in enumerate(text.split(_MARK)):
        joined.append(parts[int(piece)] if number % 2 else piece)
    return {**properties, "DefinitionString": {"Fn::Join": ["", joined]}}


def _shape(mutant: Mutant) -> str:
    """What mutants have in common that are noticed in the same way: more than their operator."""
    properties = mutant.resource.properties
    place = "".join("*" if part.isdigit() else part for part in mutant.place.split("."))
    told = (properties.get("MetricName"), properties.get("Namespace"), properties.get("Handler"))
    return json.dumps([place, sorted(properties), told[:2]])


def _spread(alike: Sequence[Mutant], most: int) -> Iterator[Mutant]:
    """At most so many, from the whole of the list."""
    step = max(1, len(alike) // most)
    yield from alike[::step][:most]
