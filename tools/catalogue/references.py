"""References in templates, in words or as paths of resources."""

from collections.abc import Iterator
from typing import Any

from cdk_rehearsal import Assembly, Resource, listed
from cdk_rehearsal.topology import Statement, role_statements
from tools.catalogue.model import Permission

_NAMES = {"AWS::SQS::Queue": "QueueName", "AWS::Scheduler::ScheduleGroup": "Name"}
"""Properties with generated names that occur in other resources' ARNs."""
_PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "REGION", "AWS::AccountId": "ACCOUNT"}


def path_of(assembly: Assembly, stack: str, value: Any) -> str | None:
    """Returns the path of the resource that `value` refers to, also through a part of its ARN."""
    found = assembly.find(stack, value)
    return found.path if found else None


def worded(assembly: Assembly, stack: str, value: Any) -> str:
    """Returns a value with references and names of resources replaced by the resources' paths."""
    match value:
        case str() | int():
            return _unnamed(assembly, str(value))
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(worded(assembly, stack, part) for part in parts)
        case {"Ref": str(name)} if name in _PSEUDO:
            return _PSEUDO[name]
    return path_of(assembly, stack, value) or "…"


def _unnamed(assembly: Assembly, text: str) -> str:
    for resource in assembly.resources:
        name = resource.properties.get(_NAMES.get(resource.type, ""))
        if isinstance(name, str):
            text = text.replace(name, resource.path)
    return text


def grants(assembly: Assembly, role: Resource) -> tuple[Permission, ...]:
    """Returns the permissions of a role's policies, in the order of the resources."""
    found = [
        Permission(
            actions=tuple(listed(statement["Action"])),
            resource=resource,
            conditions=tuple(_conditions(statement.get("Condition", {}))),
        )
        for stack, statement in role_statements(assembly, role)
        for resource in _resources(assembly, stack, statement)
    ]
    return tuple(sorted(found, key=lambda grant: (grant.resource, grant.actions)))


def _resources(assembly: Assembly, stack: str, statement: Statement) -> list[str]:
    if "NotResource" in statement:
        excluded = listed(statement["NotResource"])
        return [f"all but {worded(assembly, stack, each)}" for each in excluded]
    return [worded(assembly, stack, each) for each in listed(statement["Resource"])]


def _conditions(
    conditions: dict[str, dict[str, Any]],
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the conditions that restrict values, without those on the presence of a key."""
    for operator, keys in conditions.items():
        if operator != "Null":
            for key, values in keys.items():
                yield key, tuple(listed(values))
