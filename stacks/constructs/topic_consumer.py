"""Fan-out: a topic that the bus feeds, and consumers with filters."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from lambdas.eventing.consumer import Consumer
from lambdas.eventing.event import Event
from stacks.constructs.alarm import watch_metrics
from stacks.constructs.bus import pattern_of
from stacks.constructs.platform import Platform
from stacks.constructs.queue_consumer import QueueConsumer

_METRICS = {
    "NumberOfNotificationsFailed": "The topic could not deliver a message to a queue.",
    "NumberOfNotificationsRedrivenToDlq": "The topic parked a message that it could not deliver.",
    "NumberOfNotificationsFailedToRedriveToDlq": "The topic could not even park a message: "
    "it is lost on the way to one queue.",
}


class EventTopic(Construct):
    """A topic to which the bus sends the events of one class."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, carries: type[Event]
    ) -> None:
        super().__init__(scope, id_)
        self.carries = carries
        key = platform.key or kms.Key(
            self,
            "Key",
            description="What the topic's messages are encrypted with",
            enable_key_rotation=True,
            removal_policy=platform.environment.removal_policy,
        )
        self.topic = sns.Topic(self, "Topic", enforce_ssl=True, master_key=key)
        platform.bus.to_topic(
            self,
            platform=platform,
            pattern=pattern_of(carries.versions()),
            topic=self.topic,
            key=key,
        )
        # https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
        watch_metrics(
            self,
            _METRICS,
            platform=platform,
            namespace="AWS/SNS",
            dimensions={"TopicName": self.topic.topic_name},
            page="a-topic-cannot-deliver",
        )


class TopicConsumer(QueueConsumer):
    """A subscription, a queue and the function of `consumer`, with options of `QueueConsumer`.

    The consumer gets the events in which each field in `matching` is, or contains, one of the
    values. One dead-letter queue receives the messages that the topic could not deliver and those
    that the consumer could not process. Deliveries are raw, so that both have the same shape.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        topic: EventTopic,
        consumer: Consumer[Any],
        matching: Mapping[str, Sequence[str]],
        **options: Any,
    ) -> None:
        super().__init__(scope, id_, platform=platform, consumer=consumer, **options)
        topic.topic.add_subscription(
            subscriptions.SqsSubscription(
                self.queue,
                raw_message_delivery=True,
                dead_letter_queue=self.queue.parking,
                filter_policy_with_message_body=_filter(topic.carries, consumer, matching),
            )
        )


def _filter(
    event: type[Event], consumer: Consumer[Any], matching: Mapping[str, Sequence[str]]
) -> dict[str, sns.FilterOrPolicy]:
    """Returns a filter on the body of the bus's messages, checked against the event's class.

    https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
    """
    if consumer.consumes != event.versions():
        raise TypeError(f"{consumer.name} must consume {event.__name__}, which the topic carries")
    for version in event.versions():
        if unknown := set(matching).difference(version.__struct_fields__):
            raise TypeError(
                f"{version.__name__} has no field {', '.join(sorted(unknown))} to match"
            )
    return {
        "source": _one_of([event.source]),
        "detail-type": _one_of(sorted(version.detail_type() for version in event.versions())),
        "detail": sns.FilterOrPolicy.policy(
            {
                "data": sns.FilterOrPolicy.policy(
                    {field: _one_of(values) for field, values in matching.items()}
                )
            }
        ),
    }


def _one_of(values: Sequence[str]) -> sns.FilterOrPolicy:
    return sns.FilterOrPolicy.filter(
        sns.SubscriptionFilter.string_filter(allowlist=[str(value) for value in values])
    )
