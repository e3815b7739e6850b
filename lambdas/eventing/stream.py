"""Stream consumers: commit a shard's records batch by batch, and summarize each window."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, ClassVar, Generic, TypedDict, TypeVar

import msgspec
from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import (
    KinesisStreamEvent,
    KinesisStreamRecord,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing import aws, telemetry
from lambdas.eventing.consumer import ConsumerSettings
from lambdas.eventing.declaration import Handler, Use
from lambdas.eventing.event import Cause, CloudEvent, Event

C = TypeVar("C")
"""The content of a record, as the consumer reads it."""
S = TypeVar("S", bound=msgspec.Struct)
"""The summary of a window; all its fields have defaults."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_NOT_FOR_SQS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Failure(TypedDict):
    itemIdentifier: str


class WindowAnswer(TypedDict):
    """The response to Lambda after each batch of a window.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """

    state: dict[str, Any]
    batchItemFailures: list[_Failure]


class _StreamMessage(msgspec.Struct, frozen=True):
    """The part of a record that is read: the same in records of the bus and in our own."""

    detail: CloudEvent


class _Sorted(msgspec.Struct, Generic[C]):
    """The records of a batch."""

    readable: list[tuple[int, C]] = []
    """Positions and contents of readable records."""
    unreadable: list[tuple[int, str]] = []
    """Positions of the others, and the reasons."""
    links: list[str] = []
    """The spans that published what is readable."""


class WindowConsumer(Handler[WindowAnswer], Generic[C, S]):
    """The Lambda entry of a stream's consumer with a tumbling window.

    `commit` commits the effects of a batch, and yields after each step how many contents are done
    and the summary so far. The window's state is only this summary, for `close`: if Lambda drops
    the state, no effect is lost.
    """

    decorator: ClassVar[str] = "window_consumer"

    def __init__(
        self,
        commit: Callable[[Sequence[C], S], Iterator[tuple[int, S]]],
        *,
        read: Callable[[CloudEvent], C],
        consumes: tuple[type[Event], ...],
        summary: type[S],
        close: Callable[[S], None],
        publishes: Iterable[type[Event]],
        uses: Iterable[Use],
    ) -> None:
        super().__init__(commit, publishes=publishes, uses=uses)
        self.consumes = tuple(version for event in consumes for version in event.versions())
        self._commit = commit
        self._read = read
        self._summary = summary
        self._close = close

    def _invoke(self, event: dict[str, Any], context: LambdaContext) -> WindowAnswer:
        """Handles a batch of Kinesis records, and reports the first that failed.

        Raises the error if it is the first record of the batch, so that Lambda counts it.
        """
        batch = KinesisStreamEvent(event)
        records = list(batch.records)
        content = self._sort(records)
        cause = Cause(correlation_id=context.aws_request_id)
        links = content.links
        with telemetry.span(cause, name=self.name, kind="consumer", links=links) as span:
            answer = self._take(batch, records, content)
            if answer["batchItemFailures"]:
                span.outcome = "failed"
            return answer

    def _take(
        self,
        batch: KinesisStreamEvent,
        records: Sequence[KinesisStreamRecord],
        content: "_Sorted[C]",
    ) -> WindowAnswer:
        readable, unreadable = content.readable, content.unreadable
        summary = self._summary_so_far(batch)
        again = len(records)
        done = 0
        try:
            for progress in self._commit([content for _, content in readable], summary):
                done, summary = progress
        except Exception:
            again, _ = readable[done]
            if again == 0:
                raise
            # The partial batch response hides the error from Lambda's own log.
            telemetry.logger().exception("records failed and will be delivered again")
        # Those after a failure come again, and are parked then.
        for position, reason in unreadable:
            if position < again:
                _park(records[position], f"{self.name} cannot read it: {reason}")
        if again < len(records):
            failure = _Failure(itemIdentifier=records[again].kinesis.sequence_number)
            return WindowAnswer(state=msgspec.to_builtins(summary), batchItemFailures=[failure])
        if batch.is_final_invoke_for_window or batch.is_window_terminated_early:
            self._close(summary)
            summary = self._summary()
        return WindowAnswer(state=msgspec.to_builtins(summary), batchItemFailures=[])

    def _sort(self, records: Sequence[KinesisStreamRecord]) -> _Sorted[C]:
        found: _Sorted[C] = _Sorted()
        for position, record in enumerate(records):
            try:
                message = msgspec.json.decode(record.kinesis.data_as_bytes(), type=_StreamMessage)
                found.readable.append((position, self._read(message.detail)))
                found.links.append(str(message.detail.trace))
            except _UNREADABLE as error:
                found.unreadable.append((position, str(error)))
        return found

    def _summary_so_far(self, batch: KinesisStreamEvent) -> S:
        try:
            return msgspec.convert(batch.state, self._summary)
        except msgspec.ValidationError:
            # Another release wrote it, with other fields. A summary is not worth a blocked shard.
            return self._summary()


def window_consumer(
    *,
    read: Callable[[CloudEvent], C],
    consumes: tuple[type[Event], ...],
    summary: type[S],
    close: Callable[[S], None],
    publishes: Iterable[type[Event]] = (),
    uses: Iterable[Use] = (),
) -> Callable[[Callable[[Sequence[C], S], Iterator[tuple[int, S]]]], WindowConsumer[C, S]]:
    """Makes a function that commits contents the handler of a stream with a tumbling window.

    `read` returns the content of an event, or raises msgspec.ValidationError, and the record is
    parked. `consumes` are the events of which it reads more than the envelope. `close` gets the
    summary when a window ends.
    """
    return lambda commit: WindowConsumer(
        commit,
        read=read,
        consumes=consumes,
        summary=summary,
        close=close,
        publishes=publishes,
        uses=uses,
    )


@cache
def _settings() -> ConsumerSettings:
    return ConsumerSettings.from_environ()


def _park(record: KinesisStreamRecord, reason: str) -> None:
    """Copies a record's data to the dead-letter queue, with reason and event id as attributes."""
    attributes = {"Reason": reason[:1024], "EventId": record.event_id}
    aws.sqs().send_message(
        QueueUrl=_settings().dead_letter_queue_url,
        MessageBody=_text(record.kinesis.data_as_bytes()),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    )
    telemetry.logger().error("record parked", reason=reason, event_id=record.event_id)
    telemetry.count("ParkedMessages")


def _text(data: bytes) -> str:
    """Returns the data as text, or in base64 if SQS would reject the text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return b64encode(data).decode()
    return b64encode(data).decode() if _NOT_FOR_SQS.search(text) else text or "(empty)"
