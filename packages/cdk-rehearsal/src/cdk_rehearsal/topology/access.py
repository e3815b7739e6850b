"""The senders of messages to queues, and whether the templates permit them to send."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cdk_rehearsal.assembly import Assembly, Resource, listed, texts
from cdk_rehearsal.topology.messaging import edges, parked_by_code, variables_of
from cdk_rehearsal.topology.statements import (
    allows,
    queue_statements,
    role_of,
    role_statements,
    services_of,
    source_named,
    sources_of,
)
from cdk_rehearsal.topology.values import statements_in, tables

SERVICE_PRINCIPALS = {
    "AWS::Events::Rule": "events.amazonaws.com",
    "AWS::SNS::Topic": "sns.amazonaws.com",
    "AWS::S3::Bucket": "s3.amazonaws.com",
}
"""The principals that a queue's policy has to admit, by the type of the sender."""

_ROLE = "AWS::IAM::Role"
_SEND = "sqs:SendMessage"
_ALL_OF_SQS = ("AdministratorAccess", "AmazonSQSFullAccess", "PowerUserAccess")
"""Policies of AWS that let a role do everything with queues.
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html"""


@dataclass(frozen=True)
class Sender:
    """A resource that sends messages to a queue."""

    resource: Resource
    """A rule, topic or bucket, which the queue has to admit; or a role, which needs a grant."""
    queue: Resource
    parks: bool
    """Whether it parks messages that could not be delivered or processed."""
    stated_in: Resource
    """The resource that configures it."""

    @property
    def is_role(self) -> bool:
        """Whether it needs a grant, instead of a statement in the queue's policy."""
        return self.resource.type == _ROLE


def senders(assembly: Assembly) -> list[Sender]:
    """Returns all senders of messages to queues of the application."""
    return [*_by_edges(assembly), *_by_functions(assembly)]


def _by_edges(assembly: Assembly) -> Iterator[Sender]:
    for edge in edges(assembly):
        if edge.sender is None or edge.sender.type not in {_ROLE, *SERVICE_PRINCIPALS}:
            continue
        # S3 itself has no dead-letter queue: the one of the edge is that of the queue behind it.
        parking = None if edge.kind == "bucket" else edge.parking
        for path, parks in ((edge.target, False), (parking, True)):
            queue = assembly.queue_at(path)
            if queue is not None:
                yield Sender(edge.sender, queue, parks, edge.stated_in)


def _by_functions(assembly: Assembly) -> Iterator[Sender]:
    """Functions that park messages themselves: they have the URL of a dead-letter queue.

    A function that may receive from the queue redrives it instead.
    """
    dead_letter_queues = {edge.parking for edge in edges(assembly)} | parked_by_code(assembly)
    for function in assembly.all_of("AWS::Lambda::Function"):
        role = role_of(assembly, function)
        for value in variables_of(function).values():
            stack, expression = assembly.origin(function.stack, value)
            match expression:
                case {"Ref": str(name)}:
                    queue = assembly.identified(stack, name)
                case _:
                    continue  # It is an ARN, to be given to a service.
            if (
                role
                and queue
                and queue.path in dead_letter_queues
                and not _is_granted(assembly, role, queue, "sqs:ReceiveMessage")
            ):
                yield Sender(role, queue, True, function)


def may_send(assembly: Assembly, sender: Sender) -> bool:
    """Whether the templates permit a sender to send messages to its queue."""
    if sender.is_role:
        return _is_granted(assembly, sender.resource, sender.queue, _SEND)
    if _sends_as_role(assembly, sender):
        return True
    return any(
        allows(statement, _SEND)
        and not {SERVICE_PRINCIPALS[sender.resource.type], "*"}.isdisjoint(services_of(statement))
        and all(
            source_named(assembly, sender.queue.stack, arn) == sender.resource or "*" in texts(arn)
            for arn in sources_of(statement)
        )
        for statement in queue_statements(assembly, sender.queue)
    )


def _sends_as_role(assembly: Assembly, sender: Sender) -> bool:
    """Whether a rule sends as a role that may send; one from outside is its owner's affair.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
    """
    if sender.parks or sender.resource.type != "AWS::Events::Rule":
        return False
    rule = sender.resource
    for target in tables(rule.properties.get("Targets")):
        if "RoleArn" in target and assembly.find(rule.stack, target.get("Arn")) == sender.queue:
            role = assembly.find(rule.stack, target["RoleArn"])
            return role is None or _is_granted(assembly, role, sender.queue, _SEND)
    return False


def may_encrypt(assembly: Assembly, sender: Sender) -> bool:
    """Whether a service may use the key of its queue, if the queue has its own key.

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
        allows(statement, "kms:GenerateDataKey")
        and not {SERVICE_PRINCIPALS[sender.resource.type], "*"}.isdisjoint(services_of(statement))
        for statement in statements_in(key.properties.get("KeyPolicy"))
    )


def _is_granted(assembly: Assembly, role: Resource, queue: Resource, action: str) -> bool:
    managed = texts(role.properties.get("ManagedPolicyArns"))
    if any(managed.find(f"policy/{name}") >= 0 for name in _ALL_OF_SQS):
        return True
    return any(
        allows(statement, action)
        and any(
            assembly.find(stack, resource) == queue or _covers(resource, queue)
            for resource in listed(statement.get("Resource"))
        )
        for stack, statement in role_statements(assembly, role)
    )


def _covers(resource: object, queue: Resource) -> bool:
    """Whether an ARN in a policy is that of a queue by its name or by a pattern."""
    if resource == "*":
        return True
    name = texts(queue.properties.get("QueueName")) or queue.logical_id
    stated = texts(resource)
    return ":" in stated and fnmatchcase(name, stated.rpartition(":")[2])
