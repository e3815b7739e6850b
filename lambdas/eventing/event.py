"""Events: facts as frozen classes, and as CloudEvents 1.0 on the wire."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from typing import Annotated, ClassVar, Generic, Literal, Self, TypeVar
from uuid import uuid4

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from lambdas.eventing import trace
from lambdas.eventing.personal import Claim, Personal
from lambdas.eventing.trace import TraceContext

MAX_EVENT_BYTES = 256 * 1024
"""The maximum size on every hop, in bytes: what a topic of SNS accepts by default.

A topic accepts up to 1 MiB with `MaximumMessageSize`, as the bus and SQS do. Then it may have at
most 100 subscriptions, all of SQS, Lambda or Firehose. Larger data belongs in S3.
https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html
"""


Moment = Annotated[datetime, Meta(tz=True)]
"""A time with its time zone; in events, UTC."""


class EventTooLarge(ValueError):
    """An event exceeds the limit of a hop. Store large data in S3 and publish a reference."""


class Event(Struct, frozen=True, kw_only=True):
    """A fact that one context publishes, named in the past tense.

    A subclass names its context in `source` and its aggregate in `subject`. After a breaking
    change, the newest version has the plain name and the next `version`. It `supersedes` the
    former class, whose name now ends in its version, as in `OrderRejectedV1`, and which states when
    it `ends`.
    """

    source: ClassVar[str]
    version: ClassVar[int] = 1
    supersedes: ClassVar["type[Event] | None"] = None
    ends: ClassVar[str | None] = None
    """The last day, as in `2027-12-31`, on which a superseded version is published."""

    @classmethod
    def detail_type(cls) -> str:
        """Returns the name on the bus: class and major version, such as `OrderPlaced.v1`."""
        return f"{cls.__name__.removesuffix(f'V{cls.version}')}.v{cls.version}"

    @classmethod
    def versions(cls) -> "tuple[type[Event], ...]":
        """Returns this class and those that it supersedes, the newest first."""
        return (cls, *(cls.supersedes.versions() if cls.supersedes else ()))

    def upcast(self) -> "Event":
        """Returns the same fact in the version that supersedes this one."""
        raise NotImplementedError(f"{type(self).__name__} has no upcast to the next version")

    @property
    def subject(self) -> str:
        """The id of the aggregate that the fact is about."""
        raise NotImplementedError(f"{type(self).__name__} names no subject")

    @property
    def claim(self) -> Claim:
        """The key of the personal data in the vault that the fact stands for."""
        raise NotImplementedError(f"{type(self).__name__} stands for no personal data")

    @property
    def carried(self) -> tuple[Personal, ...]:
        """Personal data in the event itself: only in superseded versions, from before the vault."""
        return ()


E = TypeVar("E", bound=Event)
EventTypes = tuple[type[E], ...]


class Cause(Struct, frozen=True, kw_only=True):
    """The request and the event that cause something, with the ids for published events."""

    correlation_id: str
    causation_id: str | None = None

    @property
    def trace(self) -> TraceContext:
        """The span that caused it, or the beginning of the trace of its correlation id."""
        return TraceContext.of(self.correlation_id)

    @property
    def subject(self) -> str | None:
        """The id of what it is about, if that is known."""
        return None

    @property
    def synthetic(self) -> bool:
        """Whether it belongs to a test of the deployed system, not to a real customer."""
        return False


class Delivery(Cause, Generic[E], frozen=True, kw_only=True):
    """One delivery of an event to one consumer. The same event may be delivered again.

    `causation_id` is the id of the delivered event, which causes the events published in reaction.
    """

    event: E
    consumer: str
    envelope: "CloudEvent"
    carried: tuple[Personal, ...] = ()
    """Personal data that the event carries in the version in which it was sent."""
    seconds_left: Callable[[], float]
    """How long the function may still run. Long work has to stop in time, and resume later."""

    @property
    def event_id(self) -> str:
        """The id under which the inbox stores this event."""
        return self.envelope.id

    @property
    def trace(self) -> TraceContext:
        """The span that published the event."""
        return self.envelope.trace

    @property
    def subject(self) -> str:
        """The id of what the event is about."""
        return self.envelope.subject

    @property
    def synthetic(self) -> bool:
        """Whether the event follows from a synthetic request."""
        return self.envelope.synthetic is True


class CloudEvent(Struct, frozen=True, kw_only=True):
    """The envelope, in the JSON format of CloudEvents 1.0 (structured mode).

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
    """

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[
        str,
        Meta(
            description="Tells events of one source apart: a second one with it is a duplicate",
            examples=["0f8b3f5e-6c0e-4b7e-9d8a-2f1c5a7e9b10"],
        ),
    ]
    source: Annotated[str, Meta(description="The context that publishes it")]
    type: Annotated[str, Meta(description="The event and its major version")]
    time: Annotated[Moment, Meta(description="When it happened", examples=["2026-01-05T08:00:00Z"])]
    subject: Annotated[str, Meta(description="Id of what it happened to", examples=["subject-1"])]
    datacontenttype: Literal["application/json"] = "application/json"
    correlationid: Annotated[
        str,
        Meta(
            description="The request that all of it began with",
            examples=["b7a6c5d4-1e2f-4a3b-8c9d-0e1f2a3b4c5d"],
        ),
    ]
    causationid: Annotated[
        str | None,
        Meta(
            description="Id of the event that it follows from, if any",
            examples=["4c5d6e7f-8a9b-4c0d-9e1f-2a3b4c5d6e7f"],
        ),
    ] = None
    supersededby: Annotated[
        str | UnsetType,
        Meta(
            description="The type of a newer version in which the same fact, with the same id, is "
            "published, too, if it is"
        ),
    ] = UNSET
    traceparent: Annotated[
        str | UnsetType,
        Meta(
            description="The span that published it, as in W3C Trace Context, if there is one",
            examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        ),
    ] = UNSET
    synthetic: Annotated[
        bool | UnsetType,
        Meta(description="True if it follows from a test of the deployed system"),
    ] = UNSET
    data: msgspec.Raw

    @classmethod
    def wrap(
        cls,
        event: Event,
        cause: Cause,
        *,
        traceparent: str | None = None,
        synthetic: bool = False,
    ) -> Self:
        """Wraps `event` with a new id, the current time and its cause.

        It carries on the trace of the unit of work that runs, if not that of `traceparent`. It is
        synthetic if its cause is, or if it is about a `synthetic` aggregate.
        """
        return cls(
            id=str(uuid4()),
            source=event.source,
            type=event.detail_type(),
            time=datetime.now(UTC),
            subject=event.subject,
            correlationid=cause.correlation_id,
            causationid=cause.causation_id,
            traceparent=traceparent or trace.current() or UNSET,
            synthetic=synthetic or cause.synthetic or UNSET,
            data=msgspec.Raw(msgspec.json.encode(event)),
        )

    def also_as(self, older: Event) -> Self:
        """Returns the same fact, with the same id, in an older version."""
        return msgspec.structs.replace(
            self,
            type=older.detail_type(),
            supersededby=self.type,
            data=msgspec.Raw(msgspec.json.encode(older)),
        )

    def carried_on(self) -> Self:
        """Returns the same event as the unit of work that runs passes it on."""
        return msgspec.structs.replace(self, traceparent=trace.current() or self.traceparent)

    @property
    def trace(self) -> TraceContext:
        """The span that published it, or the beginning of the trace of its correlation id."""
        return TraceContext.read(self.traceparent) or TraceContext.of(self.correlationid)

    def to_json(self) -> str:
        """Returns the envelope as JSON. Raises EventTooLarge over MAX_EVENT_BYTES."""
        encoded = msgspec.json.encode(self)
        if len(encoded) > MAX_EVENT_BYTES:
            raise EventTooLarge(
                f"{self.type} of {self.subject} has {len(encoded)} bytes, over {MAX_EVENT_BYTES}: "
                "store the bulk in S3 and publish a reference"
            )
        return encoded.decode()

    def deliver_to(
        self,
        consumer: str,
        event_types: EventTypes[E],
        *,
        seconds_left: Callable[[], float] = lambda: inf,
    ) -> Delivery[E]:
        """Returns the typed event for `consumer`, upcast from an older version if necessary.

        `seconds_left` returns how long the function that runs may still run.
        Raises msgspec.ValidationError if its type is not among `event_types`, or its data are not
        valid. Unknown fields are ignored, so a publisher may add fields at any time.
        """
        event, sent = self._read(event_types)
        if event is None or sent is None:
            expected = ", ".join(event_type.detail_type() for event_type in event_types)
            raise msgspec.ValidationError(
                f"{consumer} consumes {expected}, not {self.type} of {self.source}"
            )
        return Delivery(
            event=event,
            consumer=consumer,
            correlation_id=self.correlationid,
            causation_id=self.id,
            envelope=self,
            carried=sent.carried,
            seconds_left=seconds_left,
        )

    def read(self, event_types: EventTypes[E]) -> E | None:
        """Returns the event as one of these classes, upcast if necessary; None for other events.

        Raises msgspec.ValidationError if its data are not valid in the version that was sent.
        """
        return self._read(event_types)[0]

    def _read(self, event_types: EventTypes[E]) -> tuple[E, Event] | tuple[None, None]:
        """Returns the event as one of these classes, and in the version that was sent."""
        for event_type in event_types:
            if found := _read_as(event_type, self):
                return found
        return None, None


def _read_as(event_type: type[E], envelope: CloudEvent) -> tuple[E, Event] | None:
    for age, version in enumerate(event_type.versions()):
        if (envelope.source, envelope.type) == (version.source, version.detail_type()):
            event: Event = msgspec.json.decode(envelope.data, type=version)
            sent = event
            for _ in range(age):
                event = event.upcast()
            if not isinstance(event, event_type):
                raise TypeError(
                    f"{version.__name__} is upcast to {type(event).__name__}, "
                    f"not to {event_type.__name__}"
                )
            return event, sent
    return None
