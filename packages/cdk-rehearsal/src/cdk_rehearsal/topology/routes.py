"""The ways of messages: what sorts them, who may put them on a bus, and who has whom run."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from cdk_rehearsal.topology.access import Statement, granted
from cdk_rehearsal.topology.assembly import Assembly, Resource, nodes, texts

Kind = Literal["rule", "archive", "subscription", "mapping"]
Pattern = Mapping[str, Any]

_PUT_EVENTS = "events:PutEvents"

_STARTS: Mapping[str, frozenset[str]] = {
    "AWS::Lambda::Function": frozenset({"lambda:InvokeFunction"}),
    "AWS::StepFunctions::StateMachine": frozenset(
        {
            "states:StartExecution",
            "states:StartSyncExecution",
            "states:SendTaskSuccess",
            "states:SendTaskFailure",
        }
    ),
    "AWS::SQS::Queue": frozenset({"sqs:SendMessage"}),
    "AWS::SNS::Topic": frozenset({"sns:Publish"}),
    "AWS::Kinesis::Stream": frozenset({"kinesis:PutRecord", "kinesis:PutRecords"}),
    "AWS::IAM::Role": frozenset({"iam:PassRole"}),
    "AWS::S3::Bucket": frozenset({"s3:PutObject"}),
}
"""What one has to be allowed to do with a resource to have something run that stands behind it."""


_ANY_START = frozenset().union(*_STARTS.values())


@dataclass(frozen=True, eq=False)
class Sieve:
    """What decides which messages go on: a rule, an archive, a subscription or a mapping."""

    kind: Kind
    path: str
    source: Resource
    """What the messages come from: a bus, a topic, a queue, a table or a stream."""
    targets: tuple[Resource, ...]
    patterns: tuple[Pattern, ...]
    """One of them must match; without any, everything goes on."""
    scope: str = "MessageBody"
    """What the filter policy of a subscription looks at."""
    changes: bool = False
    """Whether the targets get something else than what came."""


@dataclass(frozen=True)
class Grant:
    """That a function may put events on a bus: which, or None for any."""

    function: Resource
    bus: Resource | None
    """None for any."""
    sources: frozenset[str] | None
    detail_types: frozenset[str] | None


def sieves(assembly: Assembly) -> list[Sieve]:
    """All that sorts messages, in the order of the templates."""
    walk = _Sieves(assembly)
    return [*walk.rules(), *walk.archives(), *walk.subscriptions(), *walk.mappings()]


class _Sieves:
    """One pass over the templates."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    def rules(self) -> Iterator[Sieve]:
        """One for each target: each may get the event in another form."""
        for rule in self._assembly.all_of("AWS::Events::Rule"):
            if "EventPattern" not in rule.properties:
                continue  # a schedule
            bus = self._assembly.referred(rule.stack, rule.properties["EventBusName"])
            for target in rule.properties["Targets"]:
                yield Sieve(
                    "rule",
                    rule.path,
                    bus,
                    self._referred(rule.stack, target["Arn"]),
                    (rule.properties["EventPattern"],),
                    changes=not {"Input", "InputPath", "InputTransformer"}.isdisjoint(target),
                )

    def archives(self) -> Iterator[Sieve]:
        """Archives: nothing goes on from there by itself."""
        for archive in self._assembly.all_of("AWS::Events::Archive"):
            properties = archive.properties
            bus = self._assembly.referred(archive.stack, properties["SourceArn"])
            pattern = properties.get("EventPattern")
            yield Sieve("archive", archive.path, bus, (), (pattern,) if pattern else ())

    def subscriptions(self) -> Iterator[Sieve]:
        """Subscriptions of queues and functions; people who are subscribed are no part of it."""
        for subscription in self._assembly.all_of("AWS::SNS::Subscription"):
            properties = subscription.properties
            if properties["Protocol"] not in {"sqs", "lambda"}:
                continue
            policy = _object(properties.get("FilterPolicy"))
            yield Sieve(
                "subscription",
                subscription.path,
                self._assembly.referred(subscription.stack, properties["TopicArn"]),
                self._referred(subscription.stack, properties["Endpoint"]),
                (policy,) if policy else (),
                properties.get("FilterPolicyScope", "MessageAttributes"),
                changes=not properties.get("RawMessageDelivery", False),
            )

    def mappings(self) -> Iterator[Sieve]:
        """Event source mappings."""
        for mapping in self._assembly.all_of("AWS::Lambda::EventSourceMapping"):
            properties = mapping.properties
            filters = properties.get("FilterCriteria", {}).get("Filters", [])
            yield Sieve(
                "mapping",
                mapping.path,
                self._assembly.referred(mapping.stack, properties["EventSourceArn"]),
                self._referred(mapping.stack, properties["FunctionName"]),
                tuple(_object(each["Pattern"]) for each in filters),
            )

    def _referred(self, stack: str, reference: Any) -> tuple[Resource, ...]:
        return (self._assembly.referred(stack, reference),)


class Actors:
    """Who may do what: functions, workflows and the roles that they act as."""

    def __init__(self, assembly: Assembly, through: Iterable[Sieve]) -> None:
        """Read the roles; `through` says how it goes on from queues, topics and streams."""
        self._assembly = assembly
        self._onward: dict[str, list[Resource]] = {}
        for sieve in through:
            self._onward.setdefault(sieve.source.path, []).extend(sieve.targets)

    def grants(self) -> Iterator[Grant]:
        """Who may put which events on a bus."""
        for function in self._assembly.all_of("AWS::Lambda::Function"):
            for statement in self._statements(function):
                if _allows(statement, {_PUT_EVENTS}):
                    condition = statement.get("Condition", {})
                    for bus in self._buses(function.stack, statement):
                        yield Grant(
                            function,
                            bus,
                            _limit(condition, "events:source"),
                            _limit(condition, "events:detail-type"),
                        )

    def writes_to(self, function: Resource) -> list[Resource]:
        """The tables that a function may put items in."""
        return [
            table
            for statement in self._statements(function)
            if _allows(statement, {"dynamodb:PutItem"})
            for table in self._named(function.stack, statement)
            if table.type in {"AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"}
        ]

    def started_by(self, function: Resource) -> set[str]:
        """The paths of the functions that a function may have run, and those that these may.

        Reads what roles allow: invocations, workflows and the answers to their tasks, messages to
        queues, topics and streams, schedules (a role that is passed on acts for who passes it), and
        objects in a bucket that tells of them.
        """
        found: dict[str, Resource] = {}
        waiting = [function]
        while waiting:
            actor = waiting.pop()
            if actor.path not in found:
                found[actor.path] = actor
                waiting += self._next(actor)
        return {
            path
            for path, resource in found.items()
            if resource.type == "AWS::Lambda::Function" and path != function.path
        }

    def _next(self, actor: Resource) -> list[Resource]:
        onward = list(self._onward.get(actor.path, ()))
        for statement in self._statements(actor):
            if not _allows(statement, _ANY_START):
                continue
            for resource in self._named(actor.stack, statement):
                if resource.type == "AWS::S3::Bucket":
                    onward += self._told(resource, actor.stack, statement)
                elif _allows(statement, _STARTS.get(resource.type, frozenset())):
                    onward.append(resource)
        return onward

    def _told(self, bucket: Resource, stack: str, statement: Statement) -> Iterator[Resource]:
        """The queues that a bucket tells of the objects that the statement lets somebody put."""
        if not _allows(statement, _STARTS["AWS::S3::Bucket"]):
            return
        configuration = bucket.properties.get("NotificationConfiguration", {})
        for told in configuration.get("QueueConfigurations", []):
            rules = told.get("Filter", {}).get("S3Key", {}).get("Rules", [])
            prefix = "".join(r["Value"] for r in rules if r["Name"].lower() == "prefix")
            for arn in _listed(statement.get("Resource")):
                _, _, key = texts(arn).partition("/")
                allowed = key.partition("*")[0]
                if allowed.startswith(prefix) or prefix.startswith(allowed):
                    yield self._assembly.referred(bucket.stack, told["Queue"])

    def _named(self, stack: str, statement: Statement) -> list[Resource]:
        """The resources that a statement is about; all of them where it says `*`."""
        listed = _listed(statement.get("Resource"))
        if "*" in listed:
            return self._assembly.resources
        found: list[Resource] = []
        for value in listed:
            found += [
                self._assembly.referred(stack, node)
                for node in nodes(value)
                if self._assembly.refers(stack, node)
            ]
            found += [bucket for name, bucket in self._buckets.items() if name in texts(value)]
        return found

    def _buses(self, stack: str, statement: Statement) -> list[Resource | None]:
        found = [r for r in self._named(stack, statement) if r.type == "AWS::Events::EventBus"]
        return [None] if "*" in _listed(statement.get("Resource")) else [*found]

    def _statements(self, actor: Resource) -> list[Statement]:
        """What the role of a function or workflow, or a role itself, is allowed."""
        role = actor.properties.get("Role", actor.properties.get("RoleArn"))
        if actor.type == "AWS::IAM::Role":
            return self._by_role.get(actor.path, [])
        if role is None or not self._assembly.refers(actor.stack, role):
            return []
        return self._by_role.get(self._assembly.referred(actor.stack, role).path, [])

    @cached_property
    def _by_role(self) -> dict[str, list[Statement]]:
        return {
            role.path: [statement for _, statement in granted(self._assembly, role)]
            for role in self._assembly.all_of("AWS::IAM::Role")
        }

    @cached_property
    def _buckets(self) -> dict[str, Resource]:
        """Buckets by their names, where they have one: a policy may spell it."""
        return {
            texts(bucket.properties["BucketName"]): bucket
            for bucket in self._assembly.all_of("AWS::S3::Bucket")
            if "BucketName" in bucket.properties
        }


def _allows(statement: Statement, actions: Iterable[str]) -> bool:
    if statement["Effect"] != "Allow":
        return False
    allowed = _listed(statement.get("Action"))
    services = {f"{action.partition(':')[0]}:*" for action in actions}
    return not {"*", *actions, *services}.isdisjoint(allowed)


def _limit(condition: Statement, key: str) -> frozenset[str] | None:
    """The values that a condition limits a key to; None if it does not.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
    """
    for operator in ("ForAllValues:StringEquals", "StringEquals"):
        values = condition.get(operator, {}).get(key)
        if values is not None:
            return frozenset(_listed(values))
    return None


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _object(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
