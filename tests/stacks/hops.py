"""Asynchronous hops in the templates: senders, queues, mappings and alarms."""

from functools import lru_cache

from cdk_rehearsal import Assembly, Resource, topology
from cdk_rehearsal.topology import Sender

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


def feeder_of(shop: Assembly, queue: Resource) -> Resource:
    """The only resource that sends work to a queue."""
    (feeder,) = [
        sender.resource for sender in senders(shop) if sender.queue == queue and not sender.parks
    ]
    return feeder


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
