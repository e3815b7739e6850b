"""What a template refers to, in words or as the path of a resource."""

from collections.abc import Iterator
from typing import Any

from cdk_rehearsal import Assembly, Resource, listed
from cdk_rehearsal.topology import Statement, role_statements
from tools.catalogue.model import Grant

_NAMES = {"AWS::SQS::Queue": "QueueName", "AWS::Scheduler::ScheduleGroup": "Name"}
"""Names that CDK makes and that stand in other resources' ARNs: they end in a hash."""
_PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "REGION", "AWS::AccountId": "ACCOUNT"}


def path_of(assembly: Assembly, stack: str, value: Any) -> str | None:
    """The path of the resource that `value` refers to, also if it is a part of its ARN."""
    found = assembly.find(stack, value)
    return found.path if found else None


def worded(assembly: Assembly, stack: str, value: Any) -> str:
    """A value with each reference, and each name of a resource, replaced by the resource's path."""
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


def grants(assembly: Assembly, role: Resource) -> tuple[Grant, ...]:
    """What the policies of a role allow, in the order of the resources."""
    found = [
        Grant(
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
    """The conditions that narrow a grant by values; those that want a key to be there go unsaid."""
    for operator, keys in conditions.items():
        if operator != "Null":
            for key, values in keys.items():
                yield key, tuple(listed(values))
