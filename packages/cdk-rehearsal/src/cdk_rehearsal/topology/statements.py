"""The statements of policies: permissions of roles, and senders that queues admit."""

import fnmatch
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource, listed, nodes, texts
from cdk_rehearsal.topology.values import statements_in, table, tables, words

Statement = Mapping[str, Any]

DELIVERIES: Mapping[str, tuple[str, ...]] = {
    "AWS::Lambda::Function": ("lambda:InvokeFunction",),
    "AWS::StepFunctions::StateMachine": (
        *("states:StartExecution", "states:StartSyncExecution"),
        *("states:SendTaskSuccess", "states:SendTaskFailure"),
    ),
    "AWS::SQS::Queue": ("sqs:SendMessage",),
    "AWS::SNS::Topic": ("sns:Publish",),
    "AWS::Kinesis::Stream": ("kinesis:PutRecord", "kinesis:PutRecords"),
}
"""The actions that run a resource, or send it a message."""


def role_of(assembly: Assembly, actor: Resource) -> Resource | None:
    """Returns the role that a function or workflow acts as."""
    if actor.type == "AWS::IAM::Role":
        return actor
    properties = actor.properties
    return assembly.find(actor.stack, properties.get("Role", properties.get("RoleArn")))


def role_statements(assembly: Assembly, role: Resource | None) -> list[tuple[str, Statement]]:
    """Returns the statements of a role's policies, each with the stack in which it is."""
    return _by_role(assembly).get(role.path, []) if role else []


@lru_cache(maxsize=4)
def _by_role(assembly: Assembly) -> dict[str, list[tuple[str, Statement]]]:
    found: dict[str, list[tuple[str, Statement]]] = {}
    for policy in assembly.all_of("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        stated = statements_in(policy.properties.get("PolicyDocument"))
        for holder in listed(policy.properties.get("Roles")):
            if role := assembly.find(policy.stack, holder):
                found.setdefault(role.path, []).extend((policy.stack, each) for each in stated)
    for role in assembly.all_of("AWS::IAM::Role"):
        for inline in tables(role.properties.get("Policies")):
            stated = statements_in(inline.get("PolicyDocument"))
            found.setdefault(role.path, []).extend((role.stack, each) for each in stated)
    return found


def queue_statements(assembly: Assembly, queue: Resource) -> list[Statement]:
    """Returns the statements of a queue's policies."""
    return [
        statement
        for policy in assembly.all_of("AWS::SQS::QueuePolicy")
        for named in [listed(policy.properties.get("Queues"))]
        if queue in (assembly.find(policy.stack, name) for name in named)
        for statement in statements_in(policy.properties.get("PolicyDocument"))
    ]


def allows(statement: Statement, *actions: str) -> bool:
    """Whether a statement allows one of these actions."""
    return statement.get("Effect") == "Allow" and any(
        fnmatch.fnmatchcase(action.lower(), pattern.lower())
        for pattern in words(statement.get("Action"))
        for action in actions
    )


def is_general(statement: Statement) -> bool:
    """Whether a statement is about all resources."""
    return "*" in listed(statement.get("Resource"))


def resources_of(assembly: Assembly, stack: str, statement: Statement) -> list[Resource]:
    """Returns the resources of the assembly that a statement is about; a bucket may go by name."""
    if is_general(statement):
        return assembly.resources
    found: list[Resource] = []
    for value in listed(statement.get("Resource")):
        found += [each for node in nodes(value) if (each := assembly.find(stack, node))]
        found += [
            bucket
            for bucket in assembly.all_of("AWS::S3::Bucket")
            if (name := texts(bucket.properties.get("BucketName"))) and name in texts(value)
        ]
    return found


def services_of(statement: Statement) -> list[str]:
    """Returns the service principals of a statement; `*` stands for everybody.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    principal = statement.get("Principal", {})
    if not isinstance(principal, Mapping):
        return [principal]
    everybody = ["*"] if "*" in words(principal.get("AWS")) else []
    return [*words(principal.get("Service")), *everybody]


def source_named(assembly: Assembly, stack: str, arn: Any) -> Resource | None:
    """Returns the resource of a condition's `aws:SourceArn`; a bucket may go by its name."""
    if found := assembly.find(stack, arn):
        return found
    for bucket in assembly.all_of("AWS::S3::Bucket"):
        name = bucket.properties.get("BucketName")
        if name and texts(arn).endswith(f":s3:::{texts(name)}"):
            return bucket
    return None


def sources_of(statement: Statement) -> Iterator[Any]:
    """Yields the values that conditions require of `aws:SourceArn`, with any operator."""
    for tests in table(statement.get("Condition")).values():
        for name, values in table(tests).items():
            if name.lower() == "aws:sourcearn":
                yield from listed(values)
