"""The event bus of a stage: both kinds offer the same routes, so no stack depends on the kind."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from lambdas.eventing.event import Event

if TYPE_CHECKING:
    from stacks.constructs.platform import Platform
    from stacks.constructs.queues import BufferQueue

DELIVERY_AGE = Duration.hours(24)
DELIVERY_ATTEMPTS = 185
"""The limits of retries for one target; both are also EventBridge's maximum, for both kinds of bus.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""

Graphs = Mapping[str, Sequence[tuple[str, str, str]]]
"""Graphs of a dashboard by title: schema, metric name and statistic."""

LOGGED = ("time", "type", "id", "source", "subject", "correlationid", "causationid")
"""The attributes of an event's envelope that are logged. Customers' data are not."""


class Bus(IConstruct, Protocol):
    """An event bus: its identity for publishers, and routes from it to queues, topics and streams.

    Each route has bounded retries, a dead-letter queue and alarms.
    """

    @property
    def arns(self) -> list[str]:
        """Its ARN, for grants to publishers: two ARNs while a stage migrates."""

    def home_of(self, producer: Construct) -> str:
        """Returns the ARN of the bus on which a producer publishes."""

    @property
    def headline(self) -> str:
        """The headline of its graphs on the dashboard."""

    @property
    def graphs(self) -> Graphs:
        """Graphs of all its deliveries."""

    def to_queue(
        self,
        scope: Construct,
        *,
        platform: "Platform",
        pattern: events.EventPattern,
        queue: "BufferQueue",
    ) -> None:
        """Routes events to the queue of a consumer."""

    def to_topic(
        self,
        scope: Construct,
        *,
        platform: "Platform",
        pattern: events.EventPattern,
        topic: sns.Topic,
        key: kms.IKey,
    ) -> None:
        """Routes events to a topic that is encrypted with this key."""

    def to_stream(
        self,
        stream: kinesis.Stream,
        *,
        platform: "Platform",
        pattern: events.EventPattern,
        parking: sqs.IQueue,
    ) -> None:
        """Routes events to a data stream. The partition key is the CloudEvents id."""

    def to_log(
        self, scope: Construct, *, platform: "Platform", prefix: str, log_group: logs.LogGroup
    ) -> None:
        """Routes the `LOGGED` attributes of each event whose source has `prefix` to a log group."""


def pattern_of(consumed: Sequence[type[Event]], *, synthetic: bool = True) -> events.EventPattern:
    """Returns a pattern that matches the events of these classes.

    If a fact is published in several of these versions, only the newest matches: the envelope of an
    older version names the version that supersedes it. Without `synthetic`, events that follow from
    a test of the deployed system do not match.
    """
    newer = sorted(event.detail_type() for event in consumed if event.supersedes in consumed)
    detail: dict[str, list[object]] = {}
    if newer:
        detail["supersededby"] = [{"exists": False}, {"anything-but": newer}]
    if not synthetic:
        detail["synthetic"] = [{"exists": False}]
    return events.EventPattern(
        source=sorted({event.source for event in consumed}),
        detail_type=sorted(event.detail_type() for event in consumed),
        detail=detail or None,
    )
