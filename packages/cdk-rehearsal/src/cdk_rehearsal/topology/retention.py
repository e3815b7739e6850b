"""Retained resources must not block the next stack, or depend on deleted resources.

    for leftover in leftovers(Assembly(Path("cdk.out"))):
        print(leftover)

In synthesis, the same check runs as a plug-in: see `cdk_rehearsal.validation`. A resource
outlives its stack if its DeletionPolicy is Retain or RetainExceptOnCreate:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource, listed, named

_GENERATION = "AWS::StackId"
"""The pseudo parameter that changes each time a stack is created."""
MAY_REPEAT = {
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGatewayV2::Api",
    "AWS::AppSync::GraphQLApi",
    "AWS::Cognito::IdentityPool",
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient",
    "AWS::FSx::Volume",
}
"""Types whose name is only a label, which may change and need not be unique."""


class RetentionRule(Enum):
    """The rules. Acknowledgements refer to their names."""

    FixedName = "The name of a resource that outlives its stack is free when the stack comes back"
    DeletedDependency = "A resource that outlives its stack depends on no resource that is deleted"


_FIXES = {
    RetentionRule.FixedName: "Leave the name to CloudFormation, put a part of AWS::StackId into "
    "it, or acknowledge that the resource is imported into the next stack",
    RetentionRule.DeletedDependency: "Retain both or neither, or acknowledge that the resource is "
    "usable without the other",
}


@dataclass(frozen=True)
class Leftover:
    """A resource that outlives its stack and breaks a rule."""

    rule: RetentionRule
    resource: Resource
    says: str

    @property
    def fix(self) -> str:
        """The remedy."""
        return _FIXES[self.rule]

    def __str__(self) -> str:
        """One line: the path, the problem, and the remedy."""
        return f"{self.resource.path}: {self.says}. {self.fix}."

    def as_json(self) -> dict[str, str]:
        """Returns the finding as plain values, with the path of the resource."""
        rule, path = self.rule.name, self.resource.path
        return {"rule": rule, "path": path, "says": self.says, "fix": self.fix}


def leftovers(assembly: Assembly) -> list[Leftover]:
    """Returns all retained resources that break a rule."""
    return [
        finding
        for resource in assembly.resources
        if outlives(resource)
        for finding in (*_fixed(assembly, resource), *_dependent(assembly, resource))
    ]


def outlives(resource: Resource) -> bool:
    """Whether a resource stays when its stack is deleted."""
    return str(resource.definition.get("DeletionPolicy", "")).startswith("Retain")


def is_name(type_: str, name: str) -> bool:
    """Whether a property of a type is the name of the resource.

    This follows the convention of CloudFormation's types: BucketName of a Bucket, TableName of a
    GlobalTable, or Name.
    """
    kind = type_.rpartition("::")[2]
    if type_ in MAY_REPEAT:
        return False
    if name in {"Name", "Identifier", "Id", kind}:
        return True
    match = re.fullmatch(r"(?!Source)(?P<of>.+?)(Name|Identifier|Id)", name)
    return match is not None and (kind.endswith(match["of"]) or match["of"].endswith(kind))


def fixed_names(assembly: Assembly, resource: Resource) -> Iterator[tuple[str, Any]]:
    """Yields the name properties whose values stay the same when the stack is created again."""
    for name, value in resource.properties.items():
        if is_name(resource.type, name) and not _is_fresh(assembly, resource.stack, value):
            yield name, value


def dependencies(assembly: Assembly, resource: Resource) -> list[Resource]:
    """Returns the resources that one refers to or depends on, in its own stack and in others."""
    waited = (
        assembly.identified(resource.stack, name)
        for name in listed(resource.definition.get("DependsOn", []))
    )
    found = {
        (target.stack, target.logical_id): target
        for target in (*assembly.references(resource.stack, resource.properties), *waited)
        if target and target != resource
    }
    return list(found.values())


def _fixed(assembly: Assembly, resource: Resource) -> Iterator[Leftover]:
    for name, _ in fixed_names(assembly, resource):
        yield Leftover(
            RetentionRule.FixedName,
            resource,
            f"stays when its stack is deleted, and its {name} is then taken: the stack cannot be "
            "created again",
        )


def _dependent(assembly: Assembly, resource: Resource) -> Iterator[Leftover]:
    for target in dependencies(assembly, resource):
        if not outlives(target):
            yield Leftover(
                RetentionRule.DeletedDependency,
                resource,
                f"stays when its stack is deleted, but depends on {target.path}, which does not",
            )


def _is_fresh(assembly: Assembly, stack: str, value: Any) -> bool:
    """Whether a value changes each time a stack is created."""
    if _GENERATION in set(named(value)):
        return True
    return any(
        not any(fixed_names(assembly, target)) for target in assembly.references(stack, value)
    )
