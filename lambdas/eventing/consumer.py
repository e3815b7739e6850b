"""Consumers: decode a queue's messages into events, and acknowledge each on its own."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing import aws, telemetry, text
from lambdas.eventing.declaration import Handler, Use, time_left
from lambdas.eventing.event import Cause, CloudEvent, Delivery, E, Event
from lambdas.eventing.misconfiguration import misconfiguration
from lambdas.eventing.settings import Settings
from lambdas.eventing.transaction import AlreadyProcessed

D = TypeVar("D", bound=Cause)

_REMEDY = "correct the configuration and redrive (docs/runbook.md#messages-in-a-dead-letter-queue)"


class Unprocessable(Exception):
    """The content is wrong and no retry can succeed: the message is parked at once."""


class ConsumerSettings(Settings, frozen=True, kw_only=True):
    """The settings that the kernel reads in a consumer."""

    dead_letter_queue_url: str


class _BusMessage(msgspec.Struct, frozen=True):
    """The part of a message from the event bus that consumers read."""

    detail: CloudEvent


class QueueHandler(Handler[PartialItemFailureResponse], Generic[D]):
    """The Lambda entry of a queue. Each subclass decodes one kind of message."""

    def __init__(
        self,
        react: Callable[[D], None],
        *,
        publishes: Iterable[type[Event]],
        uses: Iterable[Use],
    ) -> None:
        super().__init__(react, publishes=publishes, uses=uses)
        self._react = react

    def _invoke(self, event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
        """Handles a batch of SQS records, and returns those to deliver again."""
        processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        handle = partial(self._handle, context)
        return process_partial_response(event, handle, processor, context)

    def _decode(self, body: str, context: LambdaContext) -> Sequence[D]:
        """Returns the deliveries in a message. Raises msgspec.MsgspecError."""
        raise NotImplementedError

    def _log_keys(self, delivery: D) -> dict[str, str]:
        """Returns the keys of log lines about a delivery, besides its ids."""
        raise NotImplementedError

    def _handle(self, context: LambdaContext, record: SQSRecord) -> None:
        try:
            deliveries = self._decode(record.body, context)
        except msgspec.MsgspecError as error:
            _park(record, f"{self.name} cannot read it: {error}")
            return
        for delivery in deliveries:
            self._take(delivery, record)

    def _take(self, delivery: D, record: SQSRecord) -> None:
        keys: dict[str, Any] = {**self._log_keys(delivery), **_attempt(record)}
        with telemetry.span(delivery, name=self.name, kind="consumer", **keys) as span:
            logger = telemetry.logger()
            try:
                self._react(delivery)
            except AlreadyProcessed:
                span.outcome = "duplicate"
                logger.info("duplicate acknowledged")
                telemetry.count("DuplicateEvents")
            except Unprocessable as error:
                span.outcome = "parked"
                _park(record, f"{self.name} cannot process it: {error}")
            except Exception as error:
                if refused := misconfiguration(error):
                    span.outcome = "parked"
                    telemetry.count("ConfigurationErrors")
                    _park(record, f"{self.name} is configured wrongly, {_REMEDY}: {refused}")
                    return
                # The partial batch response hides the error from Lambda's own log.
                logger.exception("event failed and will be delivered again")
                telemetry.count("FailedEvents")
                raise
            else:
                telemetry.count("ProcessedEvents")


class Consumer(QueueHandler[Delivery[E]]):
    """The Lambda entry of a consumer of events.

    It `consumes` the events that it names, and their older versions, which it gets upcast.
    """

    decorator: ClassVar[str] = "consumer"

    def __init__(
        self,
        react: Callable[[Delivery[E]], None],
        events: tuple[type[E], ...],
        *,
        publishes: Iterable[type[Event]],
        uses: Iterable[Use],
    ) -> None:
        super().__init__(react, publishes=publishes, uses=uses)
        self.events = events
        self.consumes = tuple(version for event in events for version in event.versions())
        for version in self.consumes:
            if self.consumes.count(version) > 1:
                raise TypeError(f"{self.name} consumes {version.__name__} twice: once is enough")

    def _decode(self, body: str, context: LambdaContext) -> Sequence[Delivery[E]]:
        message = msgspec.json.decode(body, type=_BusMessage)
        left = time_left(context)
        return [message.detail.deliver_to(self.name, self.events, seconds_left=left)]

    def _log_keys(self, delivery: Delivery[E]) -> dict[str, str]:
        return {"event_type": delivery.envelope.type}


def consumer(
    *events: type[E], publishes: Iterable[type[Event]] = (), uses: Iterable[Use] = ()
) -> Callable[[Callable[[Delivery[E]], None]], Consumer[E]]:
    """Makes a function of one delivery the handler of a queue with events of these types.

    It also gets events in a version that one of them supersedes, upcast.
    """
    return lambda react: Consumer(react, events, publishes=publishes, uses=uses)


@cache
def _settings() -> ConsumerSettings:
    return ConsumerSettings.from_environ()


def _attempt(record: SQSRecord) -> dict[str, int]:
    """Returns how often the queue has delivered the message, from the second time on."""
    count = int(record.attributes.approximate_receive_count)
    return {"attempt": count} if count > 1 else {}


def _park(record: SQSRecord, reason: str) -> None:
    """Moves a message straight to the dead-letter queue, with the reason as an attribute.

    The reason may quote the message. Control characters are escaped, because an attribute cannot
    contain them:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_MessageAttributeValue.html
    """
    reason = text.visible(reason)
    aws.sqs().send_message(
        QueueUrl=_settings().dead_letter_queue_url,
        MessageBody=record.body,
        MessageAttributes={"Reason": {"DataType": "String", "StringValue": reason[:1024]}},
    )
    telemetry.logger().error("message parked", reason=reason, message_id=record.message_id)
    telemetry.count("ParkedMessages")
