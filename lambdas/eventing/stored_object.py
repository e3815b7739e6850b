"""Stored objects: S3's notifications in a queue to typed deliveries, handled as events are."""

from collections.abc import Callable, Sequence
from typing import Annotated
from urllib.parse import unquote_plus

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext
from msgspec import Meta, Struct, field

from lambdas.eventing.consumer import QueueHandler
from lambdas.eventing.event import Cause

_TEST = "s3:TestEvent"


class StoredObject(Cause, frozen=True, kw_only=True):
    """One delivery of the news that a version of an object was stored. It may come again."""

    bucket: str
    key: str
    version_id: str
    size: int
    """In bytes."""
    e_tag: str
    seconds_left: Callable[[], float]
    """How long the function may still run: long work has to stop in time and go on next time."""

    @property
    def name(self) -> str:
        """What tells this version from all others; it is the correlation id too."""
        return self.correlation_id


class _Bucket(Struct, frozen=True):
    name: str


class _Object(Struct, frozen=True):
    """Buckets without versions send no `versionId`: what was read then could be anything."""

    key: str
    size: int
    e_tag: str = field(name="eTag")
    version_id: str = field(name="versionId")


class _Entity(Struct, frozen=True):
    bucket: _Bucket
    object: _Object


class _Record(Struct, frozen=True):
    event: Annotated[str, Meta(pattern="^ObjectCreated:")] = field(name="eventName")
    s3: _Entity


class _Notification(Struct, frozen=True):
    records: Annotated[tuple[_Record, ...], Meta(min_length=1)] = field(name="Records")


class _Trial(Struct, frozen=True):
    """What S3 sends once when a bucket gets its notifications."""

    event: str | None = field(name="Event", default=None)


class ObjectConsumer(QueueHandler[StoredObject]):
    """The Lambda entry of a queue that a versioned bucket notifies of objects that are stored.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """

    def _decode(self, body: str, context: LambdaContext) -> Sequence[StoredObject]:
        if msgspec.json.decode(body, type=_Trial).event == _TEST:
            return []
        records = msgspec.json.decode(body, type=_Notification).records
        return [_stored(record.s3, context) for record in records]

    def _log_keys(self, delivery: StoredObject) -> dict[str, str]:
        return {"object_key": delivery.key}


def object_consumer(react: Callable[[StoredObject], None]) -> ObjectConsumer:
    """Makes a function of one stored object the handler of a queue with S3's notifications."""
    return ObjectConsumer(react)


def _stored(news: _Entity, context: LambdaContext) -> StoredObject:
    # Keys are encoded as in the query of a URL, with + for a space.
    key = unquote_plus(news.object.key)
    return StoredObject(
        correlation_id=f"{news.bucket.name}/{key}@{news.object.version_id}",
        bucket=news.bucket.name,
        key=key,
        version_id=news.object.version_id,
        size=news.object.size,
        e_tag=news.object.e_tag,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
