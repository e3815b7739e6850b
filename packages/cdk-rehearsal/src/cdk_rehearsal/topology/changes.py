"""Two versions of an application's templates, side by side."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource

Key = tuple[str, str]
"""A resource's path and type: what it is called in words. Its logical id may change."""

MISSING = "nothing"
"""What stands for a value that there is not."""


class Side:
    """One of the two versions, with its references in words."""

    def __init__(self, assembly: Assembly) -> None:
        """Look at `assembly`."""
        self.assembly = assembly
        self._plain: dict[int, Any] = {}

    @cached_property
    def resources(self) -> dict[Key, Resource]:
        """All of them, by path and type."""
        return {(resource.path, resource.type): resource for resource in self.assembly.resources}

    def properties(self, resource: Resource) -> dict[str, Any]:
        """The properties, each reference as the path of what it is about."""
        if id(resource) not in self._plain:
            plain = self.plain(resource.stack, resource.properties)
            self._plain[id(resource)] = _parsed(plain, resource.type)
        found: dict[str, Any] = self._plain[id(resource)]
        return found

    def plain(self, stack: str, value: Any) -> Any:
        """A value without logical ids: those change when nothing else does."""
        match value:
            case {"Ref": str(name)} if name.startswith("AWS::"):
                return f"${{{name}}}"
            case {"Fn::Join": [str(separator), list(parts)]}:
                plain = [self.plain(stack, part) for part in parts]
                return separator.join(map(str, plain))
            case {"Fn::GetAtt": [_, str(attribute)]} if self.assembly.refers(stack, value):
                path = self.assembly.referred(stack, value).path
                return path if attribute == "Arn" else f"{path}.{attribute}"
            case {"Ref": _} | {"Fn::ImportValue": _} if self.assembly.refers(stack, value):
                return self.assembly.referred(stack, value).path
            case {**entries}:
                return {key: self.plain(stack, inner) for key, inner in entries.items()}
            case list():
                return [self.plain(stack, inner) for inner in value]
        return value

    def acts_as(self, path: str) -> str:
        """The function or workflow whose role this is, if it is that of one; else the role."""
        users = self._users.get(path, [])
        return users[0] if len(users) == 1 else path

    @cached_property
    def _users(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for resource in self.assembly.resources:
            role = resource.properties.get("Role", resource.properties.get("RoleArn"))
            if role and self.assembly.refers(resource.stack, role):
                used = self.assembly.referred(resource.stack, role).path
                found.setdefault(used, []).append(resource.path)
        return found


@dataclass(frozen=True)
class Difference:
    """A property that is not what it was."""

    resource: Resource
    """As it is now."""
    name: str
    """With dots, as in `Environment.Variables.TABLE_NAME`."""
    before: Any
    after: Any

    def __str__(self) -> str:
        """In words."""
        return f"`{self.resource.path}` {self.name}: {told(self.before)} → {told(self.after)}"


@dataclass(frozen=True)
class Sides:
    """The base of a change, and what it makes of it."""

    base: Side
    head: Side

    @cached_property
    def added(self) -> list[Resource]:
        """Resources that are new, or are called otherwise."""
        return [r for key, r in self.head.resources.items() if key not in self.base.resources]

    @cached_property
    def removed(self) -> list[Resource]:
        """Resources that are gone, or are called otherwise."""
        return [r for key, r in self.base.resources.items() if key not in self.head.resources]

    @cached_property
    def both(self) -> list[tuple[Resource, Resource]]:
        """Resources that there were and are."""
        return [
            (resource, self.head.resources[key])
            for key, resource in self.base.resources.items()
            if key in self.head.resources
        ]

    @cached_property
    def differences(self) -> list[Difference]:
        """What differs between those that there were and are."""
        return [
            Difference(after, name, old, new)
            for before, after in self.both
            for name, old, new in differences(
                {**self.base.properties(before), **_attributes(before)},
                {**self.head.properties(after), **_attributes(after)},
            )
        ]


def differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The values that differ, by their names with dots; lists are compared as a whole."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            inner = f"{name}.{key}" if name else key
            yield from differences(old.get(key, MISSING), new.get(key, MISSING), inner)
    elif old != new:
        if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) == 1:
            yield from differences(old[0], new[0], f"{name}[0]")
        else:
            yield name, old, new


def told(value: Any) -> str:
    """A value in few words."""
    if isinstance(value, bool) or value == MISSING:
        return str(value).lower()
    if isinstance(value, Mapping):
        value = " ".join(told(inner) for inner in value.values())
    elif isinstance(value, list):
        value = ", ".join(told(inner) for inner in value) or MISSING
    text = str(value).replace("\n", " ").replace("`", "'")
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def _parsed(properties: dict[str, Any], type_: str) -> dict[str, Any]:
    """A workflow as what it says, so that a state can be told from another."""
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
