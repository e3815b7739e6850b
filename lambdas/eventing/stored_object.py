"""Stored objects: decode S3's notifications in a queue into deliveries, as consumers do events."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, ClassVar
from urllib.parse import unquote_plus

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext
from msgspec import Meta, Struct, field

from lambdas.eventing.consumer import QueueHandler
from lambdas.eventing.declaration import Use, time_left
from lambdas.eventing.event import Cause, Event

_TEST = "s3:TestEvent"


class StoredObject(Cause, frozen=True, kw_only=True):
    """One delivery of the notification that a version of an object was stored. It may repeat."""

    bucket: str
    key: str
    version_id: str
    size: int
    """In bytes."""
    e_tag: str
    seconds_left: Callable[[], float]
    """How long the function may still run. Long work has to stop in time, and resume later."""

    @property
    def name(self) -> str:
        """The unique name of this version, which is the correlation id, too."""
        return self.correlation_id


class _Bucket(Struct, frozen=True):
    name: str


class _Object(Struct, frozen=True):
    """A stored object. Buckets without versions send no `versionId`, and are not supported."""

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


class _Test(Struct, frozen=True):
    """The message that S3 sends once when notifications are set up."""

    event: str | None = field(name="Event", default=None)


class ObjectConsumer(QueueHandler[StoredObject]):
    """The Lambda entry of a queue that receives the notifications of a versioned bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """

    decorator: ClassVar[str] = "object_consumer"

    def _decode(self, body: str, context: LambdaContext) -> Sequence[StoredObject]:
        if msgspec.json.decode(body, type=_Test).event == _TEST:
            return []
        records = msgspec.json.decode(body, type=_Notification).records
        return [_stored(record.s3, context) for record in records]

    def _log_keys(self, delivery: StoredObject) -> dict[str, str]:
        return {"object_key": delivery.key}


def object_consumer(
    *, publishes: Iterable[type[Event]] = (), uses: Iterable[Use] = ()
) -> Callable[[Callable[[StoredObject], None]], ObjectConsumer]:
    """Makes a function of one stored object the handler of a queue with S3's notifications."""
    return lambda react: ObjectConsumer(react, publishes=publishes, uses=uses)


def _stored(entity: _Entity, context: LambdaContext) -> StoredObject:
    # Keys are encoded as in the query of a URL, with + for a space.
    key = unquote_plus(entity.object.key)
    return StoredObject(
        correlation_id=f"{entity.bucket.name}/{key}@{entity.object.version_id}",
        bucket=entity.bucket.name,
        key=key,
        version_id=entity.object.version_id,
        size=entity.object.size,
        e_tag=entity.object.e_tag,
        seconds_left=time_left(context),
    )
