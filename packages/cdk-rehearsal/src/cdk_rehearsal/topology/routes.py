"""The routes of messages: filters, grants to publish, and functions that run other functions."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cdk_rehearsal.assembly import Assembly, Resource, listed, texts
from cdk_rehearsal.topology.messaging import notifications
from cdk_rehearsal.topology.statements import (
    DELIVERIES,
    Statement,
    allows,
    is_general,
    resources_of,
    role_of,
    role_statements,
)
from cdk_rehearsal.topology.values import table, tables, text

Kind = Literal["rule", "subscriber", "archive", "subscription", "mapping"]
Pattern = Mapping[str, Any]

_STARTS: Mapping[str, tuple[str, ...]] = {
    **DELIVERIES,
    "AWS::IAM::Role": ("iam:PassRole",),
    "AWS::S3::Bucket": ("s3:PutObject",),
}
"""The actions on a resource that run it or its targets, by the type of the resource."""
BUSES = ("AWS::Events::EventBus", "AWS::EventsV2::EventBus")
BUS_OF: Mapping[str, str] = {
    "AWS::Events::Rule": "EventBusName",
    "AWS::EventsV2::Subscriber": "EventBusArn",
}
"""The types that route the events of a bus, and the property that names it."""

_ANY_START = [action for actions in _STARTS.values() for action in actions]


@dataclass(frozen=True, eq=False)
class Filter:
    """A rule, subscriber, archive, subscription or mapping, which passes some messages on."""

    kind: Kind
    path: str
    source: Resource
    """The bus, topic, queue, table or stream of the messages."""
    targets: tuple[Resource, ...]
    patterns: tuple[Pattern, ...]
    """One of them must match; without any, all messages pass."""
    scope: str = "MessageBody"
    """The part of a message to which the patterns of a subscription or subscriber apply."""
    changes: bool = False
    """Whether the targets receive another message than the one that arrived."""


@dataclass(frozen=True)
class Grant:
    """The permission of a function to put events on a bus."""

    function: Resource
    bus: Resource | None
    """None for any bus."""
    sources: frozenset[str] | None
    """None for any source."""
    detail_types: frozenset[str] | None
    """None for any detail-type."""


def filters(assembly: Assembly) -> list[Filter]:
    """Returns all filters of messages, in the order of the templates."""
    walk = _Filters(assembly)
    return [
        *walk.rules(),
        *walk.subscribers(),
        *walk.archives(),
        *walk.subscriptions(),
        *walk.mappings(),
    ]


def leaves(pattern: Pattern) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Yields the paths in a pattern, each with the rules for its value.

    Dots in names stand for nesting, as for the matcher.
    """
    for key, rule in pattern.items():
        names = tuple(key.split("."))
        if key == "$or":
            for branch in rule:
                yield from leaves(branch)
        elif isinstance(rule, Mapping):
            for path, rules in leaves(rule):
                yield (*names, *path), rules
        else:
            yield names, rule


class _Filters:
    """One pass over the templates."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    def rules(self) -> Iterator[Filter]:
        """One filter per target: each may receive the event in another form."""
        for rule in self._assembly.all_of("AWS::Events::Rule"):
            if "EventPattern" not in rule.properties:
                continue  # It is a schedule.
            bus = self._resource(rule.stack, rule.properties.get("EventBusName", "default"))
            for target in tables(rule.properties.get("Targets")):
                yield Filter(
                    "rule",
                    rule.path,
                    bus,
                    (self._resource(rule.stack, target.get("Arn")),),
                    (table(rule.properties["EventPattern"]),),
                    changes=not {"Input", "InputPath", "InputTransformer"}.isdisjoint(target),
                )

    def subscribers(self) -> Iterator[Filter]:
        """Subscribers of Custom Event Buses. Of one with several filters, all have to match.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-filtering.html
        """
        for subscriber in self._assembly.all_of("AWS::EventsV2::Subscriber"):
            properties = subscriber.properties
            invoke = table(properties.get("InvokeConfiguration"))
            stated = tables(table(properties.get("FilterConfiguration")).get("Filters"))
            by_scope = {
                text(each.get("Scope")): table(_object(each.get("Pattern"))) for each in stated
            }
            kind = text(table(properties.get("Transformer")).get("Type", "RAW"))
            yield Filter(
                "subscriber",
                subscriber.path,
                self._resource(subscriber.stack, properties.get("EventBusArn")),
                (self._resource(subscriber.stack, invoke.get("TargetArn")),),
                tuple(by_scope.values()),
                "+".join(by_scope) or "DATA",
                changes=kind != "RAW" or "UniversalTargetParameters" in invoke,
            )

    def archives(self) -> Iterator[Filter]:
        """Archives, which pass nothing on."""
        for archive in self._assembly.all_of("AWS::Events::Archive"):
            properties = archive.properties
            bus = self._resource(archive.stack, properties["SourceArn"])
            pattern = properties.get("EventPattern")
            yield Filter("archive", archive.path, bus, (), (pattern,) if pattern else ())

    def subscriptions(self) -> Iterator[Filter]:
        """Subscriptions of queues and functions; other subscribers are outside."""
        for subscription in self._assembly.all_of("AWS::SNS::Subscription"):
            properties = subscription.properties
            if text(properties.get("Protocol")) not in {"sqs", "lambda"}:
                continue
            policy = table(_object(properties.get("FilterPolicy")))
            yield Filter(
                "subscription",
                subscription.path,
                self._resource(subscription.stack, properties["TopicArn"]),
                (self._resource(subscription.stack, properties["Endpoint"]),),
                (policy,) if policy else (),
                properties.get("FilterPolicyScope", "MessageAttributes"),
                changes=not properties.get("RawMessageDelivery", False),
            )

    def mappings(self) -> Iterator[Filter]:
        """Event source mappings."""
        for mapping in self._assembly.all_of("AWS::Lambda::EventSourceMapping"):
            properties = mapping.properties
            filters = tables(table(properties.get("FilterCriteria")).get("Filters"))
            yield Filter(
                "mapping",
                mapping.path,
                self._resource(mapping.stack, properties.get("EventSourceArn")),
                (self._resource(mapping.stack, properties["FunctionName"]),),
                tuple(table(_object(each.get("Pattern"))) for each in filters),
            )

    def _resource(self, stack: str, reference: Any) -> Resource:
        """The resource of a reference, or a stand-in without a type for one outside."""
        found = self._assembly.find(stack, reference)
        return found or Resource(stack, "", texts(reference) or "unknown", "", {}, {}, "")


class Actors:
    """The permissions of functions, workflows and the roles that they act as."""

    def __init__(self, assembly: Assembly, through: Iterable[Filter]) -> None:
        """Reads the roles; `through` are the connections from queues, topics and streams."""
        self._assembly = assembly
        self._onward: dict[str, list[Resource]] = {}
        for each in through:
            self._onward.setdefault(each.source.path, []).extend(each.targets)

    def grants(self) -> Iterator[Grant]:
        """Yields the grants of functions to put events on a bus."""
        for function in self._assembly.all_of("AWS::Lambda::Function"):
            for stack, statement in self._statements(function):
                if allows(statement, "events:PutEvents"):
                    condition = statement.get("Condition", {})
                    for bus in self._buses(stack, statement):
                        yield Grant(
                            function,
                            bus,
                            _limit(condition, "events:source"),
                            _limit(condition, "events:detail-type"),
                        )

    def writes_to(self, function: Resource) -> list[Resource]:
        """Returns the tables in which a function may put items."""
        return [
            table
            for stack, statement in self._statements(function)
            if allows(statement, "dynamodb:PutItem")
            for table in resources_of(self._assembly, stack, statement)
            if table.type in {"AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"}
        ]

    def started_by(self, function: Resource) -> set[str]:
        """Returns the paths of the functions that a function may run, directly or indirectly.

        Roles allow it: to invoke functions, to start workflows and complete their tasks, to send
        to queues, topics and streams, to pass a role to a schedule, and to put objects into a
        bucket with notifications.
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
        for stack, statement in self._statements(actor):
            if not allows(statement, *_ANY_START):
                continue
            for resource in resources_of(self._assembly, stack, statement):
                if not allows(statement, *_STARTS.get(resource.type, ())):
                    continue
                if resource.type == "AWS::S3::Bucket":
                    onward += self._notified(resource, statement)
                else:
                    onward.append(resource)
        return onward

    def _notified(self, bucket: Resource, statement: Statement) -> Iterator[Resource]:
        """The targets that a bucket notifies of objects that a statement allows to put."""
        for stated_in, notifying, configuration in notifications(self._assembly):
            for kind in configuration.values() if notifying == bucket else ():
                for notification in listed(kind):
                    rules = notification.get("Filter", {}).get("S3Key", {}).get("Rules", [])
                    prefix = "".join(r["Value"] for r in rules if r["Name"].lower() == "prefix")
                    if any(_may_begin(arn, prefix) for arn in listed(statement.get("Resource"))):
                        found = (
                            self._assembly.find(stated_in.stack, value)
                            for value in notification.values()
                        )
                        yield from filter(None, found)

    def _buses(self, stack: str, statement: Statement) -> list[Resource | None]:
        if is_general(statement):
            return [None]
        found = resources_of(self._assembly, stack, statement)
        return [each for each in found if each.type in BUSES]

    def _statements(self, actor: Resource) -> list[tuple[str, Statement]]:
        return role_statements(self._assembly, role_of(self._assembly, actor))


def _may_begin(arn: Any, prefix: str) -> bool:
    """Whether keys of objects with this ARN may begin with a prefix."""
    _, _, key = texts(arn).partition("/")
    allowed = key.partition("*")[0]
    return allowed.startswith(prefix) or prefix.startswith(allowed)


def _limit(condition: Statement, key: str) -> frozenset[str] | None:
    """The values to which a condition limits a key; None if it does not.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
    """
    for operator in ("ForAllValues:StringEquals", "StringEquals"):
        values = condition.get(operator, {}).get(key)
        if values is not None:
            return frozenset(listed(values))
    return None


def _object(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
