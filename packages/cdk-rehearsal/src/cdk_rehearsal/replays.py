"""A second delivery of retained events to one consumer, by a temporary subscriber.

Dead-letter records of a Custom Event Bus have no payload, so SQS cannot redrive them:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

REDRIVE = "-redrive"
"""The end of the name of a temporary subscriber: before it is the name of the consumer's."""

_COPIED = (
    *("EventBusArn", "InvokeConfiguration", "FilterConfiguration", "BatchConfiguration"),
    *("Transformer", "RetryPolicy", "OnFailureConfiguration", "Type"),
)
"""What the temporary subscriber has in common with that of the consumer."""


class Refused(Exception):
    """A redrive cannot do what it was asked for; the message says why, and what to do."""


@dataclass(frozen=True)
class Span:
    """The events that a bus ingested from `start` until before `end`."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        """Start and end in UTC, to the second."""
        return f"from {_said(self.start)} to {_said(self.end)}"


@dataclass(frozen=True)
class Record:
    """A dead-letter record: the times of the events that were given up, and how to delete it."""

    times: tuple[datetime, ...]
    receipt: str


@dataclass(frozen=True)
class Redrive:
    """A consumer's subscriber and its dead-letter queue."""

    client: Callable[[str], Any]
    """Returns the client of a service of AWS."""
    subscriber: dict[str, Any]
    """The subscriber, as `DescribeSubscriber` returns it."""
    queue: str
    """The URL of the dead-letter queue."""

    @classmethod
    def of(cls, client: Callable[[str], Any], subscriber: str, queue: str) -> "Redrive":
        """Describes the subscriber with an ARN."""
        stated = client("eventbridgev2").describe_subscriber(SubscriberArn=subscriber)
        return cls(client, stated, queue)

    @property
    def is_running(self) -> bool:
        """Whether events are delivered again by a temporary subscriber."""
        return bool(temporary(self.client("eventbridgev2"), self.subscriber))

    def span(self, since: datetime | None = None, until: datetime | None = None) -> Span:
        """Returns the span of the events that were given up, as far as the bus retains them.

        `since` and `until` take the place of its ends. Raises Refused without events or a span.
        """
        with records(self.client("sqs"), self.queue) as given_up:
            span = span_of(given_up)
        if span is None and not (since and until):
            raise Refused(
                "no events were given up: give both ends of a span of time to deliver others"
            )
        start = since.replace(tzinfo=UTC) if since else span.start if span else datetime.now(UTC)
        end = until.replace(tzinfo=UTC) if until else span.end if span else datetime.now(UTC)
        return Span(start, end)

    def begin(self, span: Span) -> Span:
        """Begins to deliver the events of a span again. Returns the part that the bus retains."""
        bus = self.client("eventbridgev2")
        kept = retained(bus, self.subscriber["EventBusArn"], span)
        replay(bus, self.subscriber["SubscriberArn"], kept)
        return kept

    def finish(self) -> int:
        """Deletes the records and the temporary subscriber; returns the number of records.

        Raises Refused if fewer events were delivered again than were given up.
        """
        bus, sqs = self.client("eventbridgev2"), self.client("sqs")
        found = temporary(bus, self.subscriber)
        if not found:
            raise Refused("nothing is delivered again: begin a redrive first")
        with records(sqs, self.queue) as given_up:
            missing = sum(len(each.times) for each in given_up) - self._delivered(found[0])
            if missing > 0:
                raise Refused(f"{missing} events have not arrived yet: try again in a while")
            bus.delete_subscriber(SubscriberArn=found[0]["SubscriberArn"])
            count = len(given_up)
            while given_up:
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=given_up[-1].receipt)
                given_up.pop()
        return count

    def _delivered(self, temporary: dict[str, Any]) -> int:
        """Counts what a temporary subscriber has delivered.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-observability.html
        """
        answer = self.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/EventsV2",
            MetricName="EventsDelivered",
            Dimensions=[
                {"Name": "EventBus", "Value": self.subscriber["EventBusArn"]},
                {"Name": "Subscriber", "Value": temporary["SubscriberArn"]},
            ],
            StartTime=temporary["CreationTime"] - timedelta(minutes=5),
            EndTime=datetime.now(UTC) + timedelta(minutes=5),
            Period=3600,
            Statistics=["Sum"],
        )
        return int(sum(each["Sum"] for each in answer["Datapoints"]))


@contextmanager
def records(sqs: Any, queue: str) -> Iterator[list[Record]]:
    """Provides the records in a subscriber's dead-letter queue. What is left in the list stays.

    Raises ValueError for a message that is no such record.
    """
    found: list[Record] = []
    try:
        while messages := sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=120
        ).get("Messages"):
            found += [
                Record(_times(each["Body"], queue), each["ReceiptHandle"]) for each in messages
            ]
        yield found
    finally:
        for record in found:
            sqs.change_message_visibility(
                QueueUrl=queue, ReceiptHandle=record.receipt, VisibilityTimeout=0
            )


def _times(body: str, queue: str) -> tuple[datetime, ...]:
    try:
        failed = json.loads(body)["failedMessages"]
        return tuple(datetime.fromisoformat(each["timestamp"]) for each in failed)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{queue} has a message that is no dead-letter record of a subscriber: {body[:200]}: "
            "look at it, and delete it"
        ) from None


def span_of(found: list[Record]) -> Span | None:
    """Returns the span of all events in these records; None without any.

    Records may have truncated times, and the end of a span is exclusive, so it ends two seconds
    after the last event.
    """
    times = sorted(time for record in found for time in record.times)
    return Span(times[0], times[-1] + timedelta(seconds=2)) if times else None


def retained(bus: Any, arn: str, span: Span) -> Span:
    """Returns the part of a span whose events the bus retains.

    Raises ValueError if it retains none of them.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-replay.html
    """
    described = bus.describe_event_bus(EventBusArn=arn)
    oldest = described["StorageConfiguration"]["RetentionWindowStartTime"].astimezone(UTC)
    if span.end <= oldest:
        raise ValueError(f"the bus retains events only since {oldest.isoformat()}: they are lost")
    return Span(max(span.start, oldest), span.end)


def replay(bus: Any, subscriber: str, span: Span) -> str:
    """Delivers the events of a span again to the target of a subscriber.

    A temporary subscriber, which differs only in its name and its starting position, reads them. It
    replaces that of an earlier replay. Returns its ARN.
    """
    stated = bus.describe_subscriber(SubscriberArn=subscriber)
    for earlier in temporary(bus, stated):
        bus.delete_subscriber(SubscriberArn=earlier["SubscriberArn"])
    created = bus.create_subscriber(
        Name=stated["Name"] + REDRIVE,
        StartingPosition="POINT_IN_TIME",
        PointInTimeConfiguration={
            "PointType": "TIMESTAMP",
            "StartingPoint": span.start,
            "EndPoint": span.end,
        },
        **{name: stated[name] for name in _COPIED if name in stated},
    )
    return str(created["SubscriberArn"])


def temporary(bus: Any, stated: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the temporary subscriber of a consumer's subscriber, if there is one."""
    name = stated["Name"] + REDRIVE
    listed = bus.list_subscribers(EventBusArn=stated["EventBusArn"], NamePrefix=name)
    return [each for each in listed["Subscribers"] if each["Name"] == name]


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
