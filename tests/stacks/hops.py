"""Asynchronous hops in the templates: senders, queues, mappings and alarms."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cdk_rehearsal import Assembly, Resource, topology
from cdk_rehearsal.topology import Edge, Sender

HOURS = 3600
DAYS = 24 * HOURS


@lru_cache(maxsize=2)
def senders(shop: Assembly) -> tuple[Sender, ...]:
    """All resources that send messages to queues."""
    return tuple(topology.senders(shop))


def subscriptions(shop: Assembly) -> list[Resource]:
    """Subscriptions of queues, without the e-mail subscriptions of operators."""
    found = shop.of_type("AWS::SNS::Subscription")
    return [each for each in found if each.properties["Protocol"] == "sqs"]


@lru_cache(maxsize=2)
def edges(shop: Assembly) -> tuple[Edge, ...]:
    """All asynchronous edges."""
    return tuple(topology.edges(shop))


def edge_to(shop: Assembly, queue: Resource) -> Edge:
    """The only edge on which a queue receives work."""
    (edge,) = [each for each in edges(shop) if each.target == queue.path]
    return edge


def is_custom(shop: Assembly) -> bool:
    """Whether the bus is a Custom Event Bus."""
    return any(resource.type == "AWS::EventsV2::EventBus" for resource in shop.resources)


@dataclass(frozen=True)
class Route:
    """A route from the bus: a rule, with its only target, or a subscriber."""

    resource: Resource
    bus: Resource
    pattern: dict[str, Any]
    target: Any
    """The expression of the target's ARN."""
    attempts: int
    age_s: int
    properties: dict[str, Any]
    """Those of the target in the rule, or of the invocation in the subscriber."""


def routes(shop: Assembly) -> Iterator[Route]:
    """All routes from the bus, of either kind."""
    if not is_custom(shop):
        for rule in shop.of_type("AWS::Events::Rule"):
            (target,) = rule.properties["Targets"]
            yield Route(
                rule,
                shop.referred(rule.stack, rule.properties["EventBusName"]),
                rule.properties["EventPattern"],
                target["Arn"],
                target["RetryPolicy"]["MaximumRetryAttempts"],
                target["RetryPolicy"]["MaximumEventAgeInSeconds"],
                target,
            )
        return
    for subscriber in shop.of_type("AWS::EventsV2::Subscriber"):
        properties = subscriber.properties
        (stated,) = properties["FilterConfiguration"]["Filters"]
        assert stated["Scope"] == "DATA"
        yield Route(
            subscriber,
            shop.referred(subscriber.stack, properties["EventBusArn"]),
            json.loads(stated["Pattern"]),
            properties["InvokeConfiguration"]["TargetArn"],
            properties["RetryPolicy"]["MaxRetryAttempts"],
            properties["RetryPolicy"]["MaxEventAgeInSeconds"],
            properties["InvokeConfiguration"],
        )


def route_at(shop: Assembly, path: str) -> Route:
    """The route of the consumer, topic or stream at a path."""
    (found,) = [each for each in routes(shop) if each.resource.path.startswith(f"{path}/")]
    return found


def retention_days(shop: Assembly) -> int:
    """How long events can be delivered again."""
    if is_custom(shop):
        (bus,) = shop.of_type("AWS::EventsV2::EventBus")
        return int(bus.properties["StorageConfiguration"]["RetentionPeriodInDays"])
    (archive,) = shop.of_type("AWS::Events::Archive")
    return int(archive.properties["RetentionDays"])


def parking_queues(shop: Assembly) -> list[Resource]:
    """All dead-letter queues."""
    found = {sender.queue.path: sender.queue for sender in senders(shop) if sender.parks}
    for queue in shop.of_type("AWS::SQS::Queue"):
        if redrive := queue.properties.get("RedrivePolicy"):
            parking = shop.referred(queue.stack, redrive["deadLetterTargetArn"])
            found[parking.path] = parking
    return list(found.values())


def source_of(shop: Assembly, mapping: Resource) -> Resource:
    """The source of a mapping."""
    return shop.referred(mapping.stack, mapping.properties["EventSourceArn"])


def function_of(shop: Assembly, mapping: Resource) -> Resource:
    """The function of a mapping."""
    return shop.referred(mapping.stack, mapping.properties["FunctionName"])


def role_of(shop: Assembly, function: Resource) -> Resource:
    """The role of a function."""
    return shop.referred(function.stack, function.properties["Role"])


def _mappings(shop: Assembly, *source_types: str) -> list[Resource]:
    found = [
        mapping
        for mapping in shop.of_type("AWS::Lambda::EventSourceMapping")
        if source_of(shop, mapping).type in source_types
    ]
    assert found
    return found


def queue_mappings(shop: Assembly) -> list[Resource]:
    """Mappings that read a queue."""
    return _mappings(shop, "AWS::SQS::Queue")


def relay_mappings(shop: Assembly) -> list[Resource]:
    """Mappings of relays, which read the stream of a table."""
    return _mappings(shop, "AWS::DynamoDB::GlobalTable")


def stream_mappings(shop: Assembly) -> list[Resource]:
    """Mappings that read a table's stream or a data stream."""
    return _mappings(shop, "AWS::DynamoDB::GlobalTable", "AWS::Kinesis::Stream")


def alarms_of(shop: Assembly, metric: str, dimension: str) -> dict[str, Resource]:
    """The alarms on a metric, by the path of the watched resource."""
    return {
        shop.referred(alarm.stack, entry["Value"]).path: alarm
        for alarm in shop.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == metric
        for entry in alarm.properties["Dimensions"]
        if entry["Name"] == dimension
    }
