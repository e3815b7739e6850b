"""Which function creates which CloudFormation resource type."""

import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.kinds import WITHOUT_PART
from cdk_rehearsal.properties import Properties

if TYPE_CHECKING:
    from cdk_rehearsal.deployment import Deployment


__all__ = ["CREATORS", "WITHOUT_PART", "Creator", "Resource", "creates"]
__all__ += ["generated_name", "mentioned"]

Creator = Callable[["Deployment", Resource, Properties], None]
CREATORS: dict[str, Creator] = {}


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
