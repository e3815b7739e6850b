"""Who puts messages into which queue, and whether the templates let them."""

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal.topology.assembly import Assembly, Resource, listed, texts
from cdk_rehearsal.topology.edges import edges

Statement = Mapping[str, Any]

SERVICES = {
    "AWS::Events::Rule": "events.amazonaws.com",
    "AWS::SNS::Topic": "sns.amazonaws.com",
    "AWS::S3::Bucket": "s3.amazonaws.com",
}
"""As whom they come who are admitted by a queue's policy."""

_ROLE = "AWS::IAM::Role"
_SEND = "sqs:SendMessage"


@dataclass(frozen=True)
class Sender:
    """Somebody who puts messages into a queue."""

    resource: Resource
    """A rule, topic or bucket, which the queue has to admit; or a role, which has to be granted."""
    queue: Resource
    parks: bool
    """Whether the messages are what could not be delivered or processed, or work to be done."""
    stated_in: Resource
    """The resource that says so."""

    @property
    def is_role(self) -> bool:
        """Whether it is admitted by what the role may do, and not by the queue."""
        return self.resource.type == _ROLE


def senders(assembly: Assembly) -> list[Sender]:
    """All who put messages into queues of the application."""
    return [*_by_edges(assembly), *_by_functions(assembly)]


def _by_edges(assembly: Assembly) -> Iterator[Sender]:
    for edge in edges(assembly):
        if edge.sender is None or edge.sender.type not in {_ROLE, *SERVICES}:
            continue
        # S3 parks nothing, whatever the queue behind it does.
        parking = None if edge.kind == "bucket" else edge.parking
        for path, parks in ((edge.target, False), (parking, True)):
            queue = assembly.queue_at(path)
            if queue is not None:
                yield Sender(edge.sender, queue, parks, edge.stated_in)


def _by_functions(assembly: Assembly) -> Iterator[Sender]:
    """What functions park themselves: by convention `DEAD_LETTER_QUEUE_URL` tells them where."""
    for function in assembly.all_of("AWS::Lambda::Function"):
        told = function.properties.get("Environment", {}).get("Variables", {})
        role = assembly.find(function.stack, function.properties.get("Role"))
        queue = assembly.find(function.stack, told.get("DEAD_LETTER_QUEUE_URL"))
        if role and queue:
            yield Sender(role, queue, True, function)


def may_send(assembly: Assembly, sender: Sender) -> bool:
    """Whether a sender may put messages into its queue, as far as the templates say."""
    if sender.is_role:
        return any(
            _permits(statement) and _names(assembly, stack, statement, sender.queue)
            for stack, statement in granted(assembly, sender.resource)
        )
    return any(_admits(assembly, statement, sender) for statement in said_of(assembly, sender))


def may_encrypt(assembly: Assembly, sender: Sender) -> bool:
    """Whether a service may use the key of its queue, if the queue has one of its own.

    No service may use the key that AWS manages for SQS.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    """
    named = sender.queue.properties.get("KmsMasterKeyId")
    if named is None or sender.is_role:
        return True
    key = assembly.find(sender.queue.stack, named)
    if key is None:
        return texts(named) != "alias/aws/sqs"
    return any(
        statement["Effect"] == "Allow"
        and SERVICES[sender.resource.type] in _services(statement)
        and any(_matches(action, "kms:GenerateDataKey") for action in listed(statement["Action"]))
        for statement in key.properties["KeyPolicy"]["Statement"]
    )


def granted(assembly: Assembly, role: Resource) -> Iterator[tuple[str, Statement]]:
    """What the policies of a role say, and in which stack each says it."""
    for policy in assembly.all_of("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        holders = policy.properties.get("Roles", [])
        if any(assembly.find(policy.stack, holder) == role for holder in holders):
            for statement in listed(policy.properties["PolicyDocument"]["Statement"]):
                yield policy.stack, statement
    for policy in role.properties.get("Policies", []):
        for statement in listed(policy["PolicyDocument"]["Statement"]):
            yield role.stack, statement


def said_of(assembly: Assembly, sender: Sender) -> list[Statement]:
    """What the policies of a sender's queue say."""
    return statements(assembly, sender.queue)


def statements(assembly: Assembly, queue: Resource) -> list[Statement]:
    """What the policies of a queue say."""
    return [
        statement
        for policy in assembly.all_of("AWS::SQS::QueuePolicy")
        if queue in (assembly.find(policy.stack, name) for name in policy.properties["Queues"])
        for statement in listed(policy.properties["PolicyDocument"]["Statement"])
    ]


def source_named(assembly: Assembly, stack: str, arn: Any) -> Resource | None:
    """What a condition's `aws:SourceArn` is about; a bucket may go by its name."""
    if found := assembly.find(stack, arn):
        return found
    for bucket in assembly.all_of("AWS::S3::Bucket"):
        name = bucket.properties.get("BucketName")
        if name and texts(arn).endswith(f":s3:::{texts(name)}"):
            return bucket
    return None


def _admits(assembly: Assembly, statement: Statement, sender: Sender) -> bool:
    return (
        _permits(statement)
        and SERVICES[sender.resource.type] in _services(statement)
        and all(
            source_named(assembly, sender.queue.stack, arn) == sender.resource or "*" in texts(arn)
            for arn in _sources(statement)
        )
    )


def _permits(statement: Statement) -> bool:
    return statement["Effect"] == "Allow" and any(
        _matches(action, _SEND) for action in listed(statement.get("Action", []))
    )


def _names(assembly: Assembly, stack: str, statement: Statement, queue: Resource) -> bool:
    return any(
        resource == "*" or assembly.find(stack, resource) == queue
        for resource in listed(statement.get("Resource", []))
    )


def _services(statement: Statement) -> list[str]:
    principal = statement.get("Principal", {})
    return listed(principal.get("Service", [])) if isinstance(principal, Mapping) else [principal]


def _sources(statement: Statement) -> Iterator[Any]:
    """What has to be the source, of whichever operator and however it is spelt."""
    for tests in statement.get("Condition", {}).values():
        for name, values in tests.items():
            if name.lower() == "aws:sourcearn":
                yield from listed(values)


def _matches(pattern: str, action: str) -> bool:
    return fnmatch.fnmatchcase(action.lower(), pattern.lower())
