"""Two versions of an application's templates, and the differences between them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.topology.statements import role_of

Key = tuple[str, str]
"""The path and type of a resource, which stay when its logical id changes."""

MISSING = "nothing"
"""Stands for a missing value."""


class Side:
    """One of the two versions, with paths in place of references."""

    def __init__(self, assembly: Assembly) -> None:
        """Takes the assembly of this version."""
        self.assembly = assembly
        self._plain: dict[int, Any] = {}

    @cached_property
    def resources(self) -> dict[Key, Resource]:
        """All resources, by path and type."""
        return {(resource.path, resource.type): resource for resource in self.assembly.resources}

    def properties(self, resource: Resource) -> dict[str, Any]:
        """Returns the properties, with the path of its resource in place of each reference."""
        if id(resource) not in self._plain:
            plain = self.plain(resource.stack, resource.properties)
            self._plain[id(resource)] = _parsed(plain, resource.type)
        found: dict[str, Any] = self._plain[id(resource)]
        return found

    def plain(self, stack: str, value: Any) -> Any:
        """Returns a value without logical ids, which may change when nothing else does."""
        match value:
            case {"Ref": str(name)} if name.startswith("AWS::"):
                return f"${{{name}}}"
            case {"Fn::Join": [str(separator), list(parts)]}:
                plain = [self.plain(stack, part) for part in parts]
                return separator.join(map(str, plain))
            case {"Fn::GetAtt": [_, str(name)]} if found := self.assembly.find(stack, value):
                return found.path if name == "Arn" else f"{found.path}.{name}"
            case {"Ref": _} | {"Fn::ImportValue": _} if found := self.assembly.find(stack, value):
                return found.path
            case {**entries}:
                return {key: self.plain(stack, inner) for key, inner in entries.items()}
            case list():
                return [self.plain(stack, inner) for inner in value]
        return value

    def acts_as(self, path: str) -> str:
        """Returns the path of the only function or workflow with a role, else that of the role."""
        users = self._users.get(path, [])
        return users[0] if len(users) == 1 else path

    @cached_property
    def _users(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for resource in self.assembly.resources:
            role = role_of(self.assembly, resource)
            if role and role != resource:
                found.setdefault(role.path, []).append(resource.path)
        return found


@dataclass(frozen=True)
class Difference:
    """A changed property."""

    resource: Resource
    """The resource of the new version."""
    name: str
    """The name with dots, as in `Environment.Variables.TABLE_NAME`."""
    before: Any
    after: Any

    def __str__(self) -> str:
        """One line: the resource, the property, the old and the new value."""
        return f"`{self.resource.path}` {self.name}: {brief(self.before)} → {brief(self.after)}"


@dataclass(frozen=True)
class Sides:
    """The versions before and after a change."""

    base: Side
    head: Side

    @cached_property
    def added(self) -> list[Resource]:
        """Resources that are new, or have a new path."""
        return [r for key, r in self.head.resources.items() if key not in self.base.resources]

    @cached_property
    def removed(self) -> list[Resource]:
        """Resources that are gone, or have a new path."""
        return [r for key, r in self.base.resources.items() if key not in self.head.resources]

    @cached_property
    def both(self) -> list[tuple[Resource, Resource]]:
        """Resources of both versions."""
        return [
            (resource, self.head.resources[key])
            for key, resource in self.base.resources.items()
            if key in self.head.resources
        ]

    @cached_property
    def differences(self) -> list[Difference]:
        """The changed properties of resources of both versions."""
        return [
            Difference(after, name, old, new)
            for before, after in self.both
            for name, old, new in differences(
                {**self.base.properties(before), **_attributes(before)},
                {**self.head.properties(after), **_attributes(after)},
            )
        ]


def differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yields changed values by their names with dots; lists are compared as a whole."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            inner = f"{name}.{key}" if name else key
            yield from differences(old.get(key, MISSING), new.get(key, MISSING), inner)
    elif old != new:
        if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) == 1:
            yield from differences(old[0], new[0], f"{name}[0]")
        else:
            yield name, old, new


def brief(value: Any) -> str:
    """Returns a value as a short text."""
    if isinstance(value, bool) or value == MISSING:
        return str(value).lower()
    if isinstance(value, Mapping):
        value = " ".join(brief(inner) for inner in value.values())
    elif isinstance(value, list):
        value = ", ".join(brief(inner) for inner in value) or MISSING
    text = str(value).replace("\n", " ").replace("`", "'")
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def _parsed(properties: dict[str, Any], type_: str) -> dict[str, Any]:
    """Parses the definition of a workflow, so that its states are compared one by one."""
    name = "DefinitionString"
    if type_ == "AWS::StepFunctions::StateMachine" and isinstance(properties.get(name), str):
        return {**properties, name: json.loads(properties[name])}
    return properties


def _attributes(resource: Resource) -> dict[str, Any]:
    return {
        name: resource.definition[name]
        for name in ("DeletionPolicy", "UpdateReplacePolicy")
        if name in resource.definition
    }
