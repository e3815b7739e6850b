"""Which function creates which CloudFormation resource type."""

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.kinds import WITHOUT_PART
from cdk_rehearsal.mixing import AT_ONCE, Mixing
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.shifting import Shift

if TYPE_CHECKING:
    from cdk_rehearsal.deployment import Deployment


__all__ = ["CREATORS", "WITHOUT_PART", "Creator", "Resource", "creates"]
__all__ += ["generated_name", "mentioned"]
__all__ += ["DELETERS", "UPDATERS", "Release", "Updater", "deletes", "updates", "updates_anew"]

Creator = Callable[["Deployment", Resource, Properties], None]
CREATORS: dict[str, Creator] = {}


@dataclass(frozen=True)
class Release:
    """The version of the application that an update brings."""

    name: str = ""
    """Its name in records."""
    mixing: Mixing = AT_ONCE
    is_rollback: bool = False
    """Whether it brings back what another update has changed, because that one has failed."""


@dataclass(frozen=True)
class Updater:
    """How resources of a type are updated: all properties, only some, or all but some."""

    update: Callable[["Deployment", Resource, Properties, Release], Shift | None]
    only: Collection[str] | None = None
    except_for: Collection[str] = ()

    def knows(self, name: str) -> bool:
        """Whether it updates a property."""
        return name not in self.except_for and (self.only is None or name in self.only)


Deleter = Callable[["Deployment", Resource], object]
UPDATERS: dict[str, Updater] = {}
DELETERS: dict[str, Deleter] = {}


def generated_name(resource: Resource, longest: int, *, fifo: bool) -> str:
    """Returns a physical name of a queue or topic: that of a FIFO one ends in `.fifo`."""
    ending = ".fifo" if fifo else ""
    return resource.generated_name(longest - len(ending)) + ending


def creates(resource_type: str) -> Callable[[Creator], Creator]:
    """Registers a function as the one that creates resources of a type."""

    def register(creator: Creator) -> Creator:
        CREATORS[resource_type] = creator
        return creator

    return register


def updates(
    resource_type: str, *only: str, except_for: Collection[str] = ()
) -> Callable[[Any], Any]:
    """Registers a function as the one that updates some properties of resources of a type.

    It gets the resource with its new properties. Without names, it updates all but `except_for`.
    An update that takes time returns a shift, whose end is that of the update.
    """

    def register(update: Any) -> Any:
        UPDATERS[resource_type] = Updater(update, only or None, except_for)
        return update

    return register


def updates_anew(resource_type: str, *only: str, except_for: Collection[str] = ()) -> None:
    """Registers a creator for updates, too: what it creates takes the place of the former."""

    def update(
        deployment: "Deployment", resource: Resource, properties: Properties, _: Release
    ) -> None:
        CREATORS[resource_type](deployment, resource, properties)

    updates(resource_type, *only, except_for=except_for)(update)


def deletes(resource_type: str) -> Callable[[Deleter], Deleter]:
    """Registers a function as the one that deletes resources of a type."""

    def register(delete: Deleter) -> Deleter:
        DELETERS[resource_type] = delete
        return delete

    return register


@cache
def mentioned(creator: Creator) -> frozenset[str]:
    """Returns all strings in the code of a creator and its helpers.

    The names of the properties that it reads are among them: if it raises, they tell the known
    properties that it has not read yet from unknown ones.
    """
    module = vars(sys.modules[creator.__module__])
    found: set[str] = set()
    seen: set[object] = set()
    waiting: list[Any] = [creator]
    while waiting:
        match waiting.pop():
            case str(text):
                found.add(text)
            case tuple() | frozenset() as several:
                waiting += several
            case FunctionType(__code__=code, __module__=creator.__module__) if code not in seen:
                waiting.append(code)
            case CodeType() as code:
                seen.add(code)
                waiting += code.co_consts
                waiting += [module.get(name) for name in code.co_names]
    return frozenset(found)
