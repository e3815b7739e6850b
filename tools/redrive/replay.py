"""A second delivery of retained events to one consumer, by a temporary subscriber.

Dead-letter records have no payload, so SQS cannot redrive them:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from stacks.constructs.custom_bus import REDRIVE

_COPIED = (
    *("EventBusArn", "InvokeConfiguration", "FilterConfiguration", "BatchConfiguration"),
    *("Transformer", "RetryPolicy", "OnFailureConfiguration", "Type"),
)
"""What the temporary subscriber has in common with that of the consumer."""


@dataclass(frozen=True)
class Span:
    """The events that a bus ingested from `start` until before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Record:
    """A dead-letter record: the times of the events that were given up, and how to delete it."""

    times: tuple[datetime, ...]
    receipt: str


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
