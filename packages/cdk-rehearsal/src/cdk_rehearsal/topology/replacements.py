"""Stateful resources that a change would replace or delete."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.topology.changes import MISSING, Side, Sides, brief

STATEFUL: Mapping[str, str] = {
    "AWS::Cognito::UserPool": "its users",
    "AWS::DynamoDB::GlobalTable": "its items",
    "AWS::DynamoDB::Table": "its items",
    "AWS::Events::Archive": "the events in it",
    "AWS::Events::EventBus": "the rules of others on it",
    "AWS::EventsV2::EventBus": "the events that it retains and the subscribers of others",
    "AWS::EventsV2::Subscriber": "its backlog and its position on the bus",
    "AWS::KMS::Key": "what is encrypted with it",
    "AWS::Kinesis::Stream": "its records",
    "AWS::Logs::LogGroup": "its logs",
    "AWS::S3::Bucket": "its objects",
    "AWS::SNS::Topic": "the subscriptions of others",
    "AWS::SQS::Queue": "its messages",
    "AWS::SecretsManager::Secret": "its value",
    "AWS::StepFunctions::StateMachine": "its executions",
}
"""Types of stateful resources, and the data that would be lost with one."""

# A type has the same create-only properties in all regions.
_REGION = "us-east-1"


@dataclass(frozen=True)
class Replacement:
    """A stateful resource that would be replaced or deleted."""

    path: str
    type: str
    why: str

    @property
    def advice(self) -> tuple[str, ...]:
        """Empty: the loss cannot be avoided."""
        return ()

    def __str__(self) -> str:
        """One line: the path, the reason, and the lost data."""
        return f"`{self.path}` ({self.type}) {self.why}, {STATEFUL[self.type]} with it"


def replacements(sides: Sides) -> list[Replacement]:
    """Returns the stateful resources of the base that CloudFormation would replace or delete."""
    found = []
    for resource in sides.base.assembly.resources:
        if resource.type in STATEFUL:
            why = fate(sides, resource)
            if why:
                found.append(Replacement(resource.path, resource.type, why))
    return found


def fate(sides: Sides, resource: Resource) -> str | None:
    """Returns why a resource of the base would be deleted or replaced, or None if it would stay."""
    head = sides.head
    names = {_stack_name(side, resource) for side in (sides.base, head)} - {None}
    if len(names) > 1:
        return "would be replaced, because its stack gets another name"
    same = head.assembly.identified(resource.stack, resource.logical_id)
    if same is None:
        return _disappearance(head, resource)
    if same.type != resource.type:
        return f"would be deleted: its logical id {resource.logical_id} is taken by a {same.type}"
    return next(_replacements(sides, resource, same), None)


def _disappearance(head: Side, resource: Resource) -> str | None:
    successor = head.resources.get((resource.path, resource.type))
    if successor:
        return (
            f"would be replaced: its logical id changes from {resource.logical_id} to "
            f"{successor.logical_id}"
        )
    if str(resource.definition.get("DeletionPolicy", "")).startswith("Retain"):
        if resource.type == "AWS::Logs::LogGroup":
            return None  # It stays readable.
        return "would be abandoned: it leaves the templates, and stays in the account unused"
    return "would be deleted: it leaves the templates"


def _replacements(sides: Sides, before: Resource, after: Resource) -> Iterator[str]:
    old, new = sides.base.properties(before), sides.head.properties(after)
    for keyword, verb in (
        ("createOnlyProperties", "would"),
        ("conditionalCreateOnlyProperties", "may"),
    ):
        for pointer in schema(before.type).get(keyword, []):
            path = pointer.removeprefix("/properties/").split("/")
            was, now = _at(old, path), _at(new, path)
            if was != now:
                name = ".".join(path)
                yield f"{verb} be replaced: {name} changes from {brief(was)} to {brief(now)}"


def _at(value: Any, path: list[str]) -> Any:
    for position, name in enumerate(path):
        if name == "*" and isinstance(value, list):
            return [_at(inner, path[position + 1 :]) for inner in value]
        if not isinstance(value, Mapping):
            return MISSING
        value = value.get(name, MISSING)
    return value


@cache
def schema(type_: str) -> Mapping[str, Any]:
    """Returns CloudFormation's description of a type, as cfn-lint ships it.

    https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
    """
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError  # It takes a second.

    try:
        found: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(
            _REGION, type_
        ).schema
    except ResourceNotFoundError:
        return {}  # It is a third-party type, or newer than the schemas.
    return found


def _stack_name(side: Side, resource: Resource) -> str | None:
    return side.assembly.stack_names.get(resource.stack)
