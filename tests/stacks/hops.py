"""Asynchronous hops as the templates have them: who puts what where, and what watches it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from topology.assembly import Assembly, Resource, texts

HOURS = 3600
DAYS = 24 * HOURS


@dataclass(frozen=True)
class Sender:
    """Somebody who puts messages into a queue."""

    resource: Resource
    """A rule, topic or bucket, which the queue has to admit; or a role, which has to be granted."""
    queue: Resource
    parks: bool
    """Whether the messages are what could not be delivered or processed, or work to be done."""

    @property
    def is_role(self) -> bool:
        """Whether it is admitted by what the role may do, and not by the queue."""
        return self.resource.type == "AWS::IAM::Role"


def senders(shop: Assembly) -> list[Sender]:
    """All who put messages into queues."""
    return [
        Sender(sender, shop.referred(stack, queue), parks)
        for sender, stack, work, parking in _deliveries(shop)
        for queue, parks in ((work, False), (parking, True))
        if queue and shop.referred(stack, queue).type == "AWS::SQS::Queue"
    ]


Delivery = tuple[Resource, str, Any, Any]
"""Who delivers, in which stack; and references to where: of work, and of what is parked."""


def _deliveries(shop: Assembly) -> Iterator[Delivery]:
    for rule in shop.of_type("AWS::Events::Rule"):
        for target in rule.properties["Targets"]:
            yield rule, rule.stack, target["Arn"], target["DeadLetterConfig"]["Arn"]
    for subscription in subscriptions(shop):
        properties = subscription.properties
        topic = shop.referred(subscription.stack, properties["TopicArn"])
        parking = properties["RedrivePolicy"]["deadLetterTargetArn"]
        yield topic, subscription.stack, properties["Endpoint"], parking
    for bucket in shop.of_type("AWS::S3::Bucket"):
        for heard in bucket.properties["NotificationConfiguration"]["QueueConfigurations"]:
            yield bucket, bucket.stack, heard["Queue"], None
    for schedule in shop.of_type("AWS::Scheduler::Schedule"):
        target = schedule.properties["Target"]
        role = shop.referred(schedule.stack, target["RoleArn"])
        yield role, schedule.stack, target["Arn"], target["DeadLetterConfig"]["Arn"]
    for mapping in stream_mappings(shop):
        parking = mapping.properties["DestinationConfig"]["OnFailure"]["Destination"]
        yield role_of(shop, function_of(shop, mapping)), mapping.stack, None, parking
    yield from _by_functions(shop)


def _by_functions(shop: Assembly) -> Iterator[Delivery]:
    """What functions park themselves, and have scheduled while they run: they are told where."""
    for function in shop.of_type("AWS::Lambda::Function"):
        told = function.properties["Environment"]["Variables"]
        if "DEAD_LETTER_QUEUE_URL" in told:
            yield role_of(shop, function), function.stack, None, told["DEAD_LETTER_QUEUE_URL"]
        if "SCHEDULE_ROLE_ARN" in told:
            role = shop.referred(function.stack, told["SCHEDULE_ROLE_ARN"])
            yield role, function.stack, told["REMINDER_QUEUE_ARN"], told["REMINDER_PARKING_ARN"]


def subscriptions(shop: Assembly) -> list[Resource]:
    """Subscriptions of queues: those of people are no part of the system."""
    found = shop.of_type("AWS::SNS::Subscription")
    return [each for each in found if each.properties["Protocol"] == "sqs"]


def feeder_of(shop: Assembly, queue: Resource) -> Resource:
    """The one who puts work into a queue."""
    (feeder,) = [
        sender.resource for sender in senders(shop) if sender.queue == queue and not sender.parks
    ]
    return feeder


def parking_queues(shop: Assembly) -> list[Resource]:
    """All queues that something parks messages in."""
    found = {sender.queue.path: sender.queue for sender in senders(shop) if sender.parks}
    for queue in shop.of_type("AWS::SQS::Queue"):
        if redrive := queue.properties.get("RedrivePolicy"):
            parking = shop.referred(queue.stack, redrive["deadLetterTargetArn"])
            found[parking.path] = parking
    return list(found.values())


def source_of(shop: Assembly, mapping: Resource) -> Resource:
    """What a mapping reads."""
    return shop.referred(mapping.stack, mapping.properties["EventSourceArn"])


def function_of(shop: Assembly, mapping: Resource) -> Resource:
    """What a mapping invokes."""
    return shop.referred(mapping.stack, mapping.properties["FunctionName"])


def role_of(shop: Assembly, function: Resource) -> Resource:
    """What a function acts as."""
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
    """Mappings that read the stream of a table: those of the relays."""
    return _mappings(shop, "AWS::DynamoDB::GlobalTable")


def stream_mappings(shop: Assembly) -> list[Resource]:
    """Mappings that read a stream, whether a table's or a data stream."""
    return _mappings(shop, "AWS::DynamoDB::GlobalTable", "AWS::Kinesis::Stream")


def statements(shop: Assembly, queue: Resource) -> list[dict[str, Any]]:
    """What the policies of a queue say."""
    return [
        statement
        for policy in shop.of_type("AWS::SQS::QueuePolicy")
        if queue in (shop.referred(policy.stack, name) for name in policy.properties["Queues"])
        for statement in policy.properties["PolicyDocument"]["Statement"]
    ]


def source_named(shop: Assembly, stack: str, arn: Any) -> Resource:
    """What a condition's `aws:SourceArn` is about; a bucket goes by its name."""
    if shop.refers(stack, arn):
        return shop.referred(stack, arn)
    (bucket,) = [
        bucket
        for bucket in shop.of_type("AWS::S3::Bucket")
        if texts(arn).endswith(f":s3:::{texts(bucket.properties['BucketName'])}")
    ]
    return bucket


def alarms_of(shop: Assembly, metric: str, dimension: str) -> dict[str, Resource]:
    """The alarms on a metric, by the path of the resource that they watch."""
    return {
        shop.referred(alarm.stack, entry["Value"]).path: alarm
        for alarm in shop.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == metric
        for entry in alarm.properties["Dimensions"]
        if entry["Name"] == dimension
    }
