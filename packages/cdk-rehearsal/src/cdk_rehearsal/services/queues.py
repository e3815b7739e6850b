"""SQS: queues with their policies, direct access to their messages, and redrive."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from moto.core.responses import ActionResult
from moto.sqs.models import Message, sqs_backends
from moto.sqs.models import Queue as MotoQueue
from moto.sqs.responses import SQSResponse

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.filters import FilterCriteria
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.moto_patches.speed.sqs import is_full
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.deliveries import DeliveryFailed
from cdk_rehearsal.services.texts import event_in

# Batches are bounded by what a synchronous invocation takes; some room is left for the envelope.
# https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
_ENVELOPE_BYTES = 1024
_SOURCE = "DeadLetterQueueSourceArn"
REMEMBERED_S = 300.0
"""How long a FIFO queue or topic remembers the id of a message."""


class Queue:
    """A queue of the template, with direct access to its messages in moto."""

    def __init__(
        self, core: Core, path: str, name: str, arn: str, redrive_allow_policy: dict[str, Any]
    ) -> None:
        self.path = path
        self.name = name
        self.arn = arn
        self.on_change: list[Callable[[], object]] = []
        """Called when a message has arrived: the pollers of its mappings."""
        self._core = core
        self._redrive_allow_policy = redrive_allow_policy

    @property
    def model(self) -> Any:
        """moto's queue."""
        return sqs_backends[self._core.account][self._core.region].get_queue(self.name)

    @property
    def visibility_timeout_s(self) -> float:
        """How long a message is hidden once it was received."""
        return float(self.model.visibility_timeout)

    @property
    def depth(self) -> int:
        """The number of messages, visible or not."""
        return len(self.model._messages)

    @property
    def oldest(self) -> float | None:
        """The virtual time at which the oldest message was sent, or None if the queue is empty."""
        sent = [message.sent_timestamp for message in self.model._messages]
        return min(sent) / 1000 if sent else None

    def admits(self, service: str, source_arn: str) -> bool:
        """Whether the queue's policy lets a service send on behalf of ``source_arn``.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-using-identity-based-policies.html
        """
        # Raises QueueDoesNotExist if it was deleted.
        arn = self.model.queue_arn
        return self._core.access.service_may(service, "sqs:SendMessage", arn, source_arn)

    def takes_dead_letters_of(self, source_arn: str) -> bool:
        """Whether another queue may name this one as its dead-letter queue.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue.html
        """
        permission = self._redrive_allow_policy.get("redrivePermission", "allowAll")
        sources = self._redrive_allow_policy.get("sourceQueueArns", [])
        return permission == "allowAll" or (permission == "byQueue" and source_arn in sources)

    def takes(self, body: str) -> bool:
        """Whether a message is within the queue's MaximumMessageSize."""
        return len(body.encode()) <= int(self.model.maximum_message_size)

    def send(
        self,
        body: str,
        attributes: Mapping[str, str | dict[str, Any]] | None = None,
        *,
        group: str | None = None,
        deduplication: str | None = None,
    ) -> str:
        """Puts a message into the queue and returns its id.

        ``attributes`` are strings, or as SQS has them, with ``DataType`` and the value. ``group``
        and ``deduplication`` are the ids that a FIFO queue needs. Raises DeliveryFailed for a
        message over the queue's MaximumMessageSize.
        """
        model = self.model
        if not self.takes(body):
            raise DeliveryFailed(
                "InvalidParameterValue",
                f"a message of {len(body.encode())} bytes for {self.path}, which takes at most "
                f"{model.maximum_message_size}",
            )
        message = Message(self._core.new_id(), body)
        message.message_attributes = {
            name: {"DataType": "String", "StringValue": value} if isinstance(value, str) else value
            for name, value in (attributes or {}).items()
        }
        message.group_id = group
        if model.fifo_queue:
            message.deduplication_id = deduplication or hashlib.sha256(body.encode()).hexdigest()
        message.mark_sent(delay_seconds=model.delay_seconds)
        model.add_message(message)
        return message.id

    def peek(self) -> list[dict[str, Any]]:
        """Returns all messages without receiving them."""
        return [
            {
                "message_id": message.id,
                "body": message.body,
                "attributes": {
                    name: attribute.get("StringValue", attribute.get("BinaryValue"))
                    for name, attribute in message.message_attributes.items()
                },
                "receive_count": message.approximate_receive_count,
                "sent": message.sent_timestamp / 1000,
                "source": self._core.path_of(getattr(message, "dead_letter_source", "")),
            }
            for message in self.model._messages
        ]

    def discard(self, message_id: str) -> dict[str, Any]:
        """Deletes a message and returns it, as `peek` does. Raises RehearsalError without one."""
        for message, shown in zip(list(self.model._messages), self.peek(), strict=True):
            if message.id == message_id:
                self.delete(message)
                return shown
        raise RehearsalError(f"{self.path} has no message {message_id}: it may have been redriven")

    def redrive(
        self,
        destination_of: Callable[[str | None], Queue | None],
        only: Collection[str] | None = None,
    ) -> int:
        """Moves the messages of this dead-letter queue, and returns how many.

        With ``only``, moves those with these ids. ``destination_of`` returns the target of a
        message, given the ARN of the queue that it came from, which is None if a service has sent
        it here directly; without a target it stays.
        """
        model = self.model
        count = 0
        for message in list(model._messages):
            if only is not None and message.id not in only:
                continue
            target = destination_of(getattr(message, "dead_letter_source", None))
            if target is None:
                continue
            moved(self._core, model, message, target.model)
            count += 1
        return count

    def receive(self, most: int, filters: FilterCriteria) -> list[Message]:
        """Receives up to ``most`` visible messages as Lambda's poller does.

        One that was received too often goes to the dead-letter queue instead, one that no filter
        matches is deleted, one that is older than the retention period is gone.
        """
        model = self.model
        if is_full(model):
            return []
        now_ms = self._core.scheduler.now() * 1000
        policy = model.redrive_policy if model.dead_letter_queue is not None else None
        oldest_ms = now_ms - model.message_retention_period * 1000
        received: list[Message] = []
        size = 0
        for message in self._due(model, now_ms):
            if message.sent_timestamp <= oldest_ms:
                model._messages.remove(message)
                self._core.meter.add("discarded", self.path, "nowhere", condition="RetentionPeriod")
                continue
            if policy and message.approximate_receive_count >= policy["maxReceiveCount"]:
                self._give_up(model, message)
                continue
            length = len(message.body) + _ENVELOPE_BYTES
            if received and size + length > LIMITS["lambda.payload_bytes"]:
                break
            self._mark_received(model, message, now_ms)
            if not filters.matches(self.record(message)):
                self.delete(message)
                self._core.meter.add(
                    "delivery", self.path, "nowhere", outcome="filtered", messages=[message.id]
                )
                continue
            received.append(message)
            size += length
            if len(received) == most:
                break
        return received

    def _due(self, model: Any, now_ms: float) -> Iterable[Message]:
        """Returns what can be received, though some of it may be removed meanwhile."""
        # Most of a long queue is not looked at: a batch takes the first of it.
        due = _visible(model.fifo_queue, [*model._messages], now_ms)
        first = next(due, None)
        if first is None:
            return ()
        if fault := self._core.faults.strike("receive", self.path, ""):
            visible = [first, *due]
            fault.effect(self._core.scheduler.random, visible)
            return visible
        return chain((first,), due)

    def delete(self, message: Message) -> None:
        """Deletes a received message, whatever its receipt handle is now."""
        model = self.model
        if message in model._messages:
            model._messages.remove(message)
            model.pending_messages.discard(message)
            model.deleted_messages.update(message.all_receipt_handles)

    def count_visible(self, most: int) -> int:
        """Returns how many messages could be received now, counting up to ``most``."""
        model = self.model
        due = _visible(model.fifo_queue, model._messages, self._core.scheduler.now() * 1000)
        return sum(1 for _ in islice(due, most))

    def next_visible(self) -> float | None:
        """Returns the virtual time at which the next message can be received, if there is any."""
        model = self.model
        if not model.fifo_queue:
            times = [max(m.visible_at, m.delayed_until) / 1000 for m in model._messages]
            return min(times) if times else None
        # All messages of a group wait for those that are being processed.
        by_group: dict[str, float] = {}
        for message in model._messages:
            moment = max(message.visible_at, message.delayed_until) / 1000
            by_group[message.group_id] = max(moment, by_group.get(message.group_id, 0.0))
        return min(by_group.values(), default=None)

    def record(self, message: Message) -> dict[str, Any]:
        """Returns a message as functions get it.

        https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
        """
        attributes = {
            "ApproximateReceiveCount": str(message.approximate_receive_count),
            "SentTimestamp": str(message.sent_timestamp),
            "SenderId": message.sender_id,
            "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
        }
        if message.group_id is not None:
            attributes["MessageGroupId"] = message.group_id
        if message.sequence_number is not None:
            attributes["MessageDeduplicationId"] = str(message.deduplication_id)
            attributes["SequenceNumber"] = message.sequence_number
        trace = message.system_attributes.get("AWSTraceHeader") if message.system_attributes else {}
        if trace:
            attributes["AWSTraceHeader"] = trace["StringValue"]
        named = {
            name: _attribute(attribute) for name, attribute in message.message_attributes.items()
        }
        if (source := _source_of(message)) is not None:
            attributes[_SOURCE] = source
        return {
            "messageId": message.id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": attributes,
            "messageAttributes": named,
            **({"md5OfMessageAttributes": message.attribute_md5} if named else {}),
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": self._core.region,
        }

    def _mark_received(self, model: Any, message: Message, now_ms: float) -> None:
        # As moto's Message.mark_received, whose random handles take most of a receive's time.
        if not message.approximate_first_receive_timestamp:
            message.approximate_first_receive_timestamp = int(now_ms)
        message.approximate_receive_count += 1
        fault = self._core.faults.strike("hide", self.path, "")
        hidden_s = fault.effect if fault else model.visibility_timeout
        message.visible_at = now_ms + hidden_s * 1000
        if message.receipt_handle is not None:
            message._old_receipt_handles.append(message.receipt_handle)
        message.receipt_handle = f"{message.id}#{message.approximate_receive_count}"
        model.pending_messages.add(message)

    def _give_up(self, model: Any, message: Message) -> None:
        model._messages.remove(message)
        model.pending_messages.discard(message)
        target = model.dead_letter_queue
        message.dead_letter_source = self.arn  # type: ignore[attr-defined]
        message.visible_at = 0.0
        if model.fifo_queue:
            # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
            message.mark_sent()
        target.add_message(message)
        self._core.meter.add(
            "dead_letter",
            self.path,
            self._core.path_of(target.queue_arn),
            condition="maxReceiveCount",
            messages=[message.id],
        )


class Queues:
    """All queues of a rehearsal."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._by_arn: dict[str, Queue] = {}
        self._seen: dict[tuple[str, str | None], float] = {}
        self._receiving: Any = None
        """The queue of which a client receives messages at the moment."""
        self._numbered = 18_850_000_000_000_000_000
        self.on_message: list[Callable[[], object]] = []
        """Called when a message has arrived in any queue."""
        self.dead_letter_arns: set[str] = set()
        """What takes events and messages that could not be handled."""

    def __iter__(self) -> Iterator[Queue]:
        return iter(self._by_arn.values())

    def __contains__(self, arn: str) -> bool:
        return arn in self._by_arn

    def install(self, patches: Patches) -> None:
        """Notices when a message arrives in one of moto's queues."""
        add_message = MotoQueue.add_message

        def message_added(model: Any, message: Any) -> None:
            dead = self._receiving and self._receiving.dead_letter_queue
            if model is dead and message.approximate_receive_count:
                message.dead_letter_source = self._receiving.queue_arn
            if model.fifo_queue and self._is_repeated(model, message):
                return
            add_message(model, message)
            for notify in self.on_message:
                notify()
            queue = self._by_arn.get(model.queue_arn)
            if queue is not None:
                for notify in queue.on_change:
                    notify()

        patches.set(MotoQueue, "add_message", message_added)
        self._install_receiving(patches)

    def _install_receiving(self, patches: Patches) -> None:
        """Says where a received message came from, which moto does not.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
        """
        receive_message = SQSResponse.receive_message

        def message_received(response: SQSResponse) -> ActionResult:
            model = response.sqs_backend.get_queue(response._get_queue_name())
            self._receiving = model
            try:
                result = receive_message(response)
            finally:
                self._receiving = None
            asked = {*(response._get_param("AttributeNames") or ())}
            asked |= {*(response._get_param("MessageSystemAttributeNames") or ())}
            if asked & {"All", _SOURCE}:
                sources = {each.id: _source_of(each) for each in model._messages}
                answer: Any = result.result
                for each in answer.get("Messages", ()):
                    if source := sources.get(each["MessageId"]):
                        each.setdefault("Attributes", {})[_SOURCE] = source
            return result

        patches.set(SQSResponse, "receive_message", message_received)

    def _is_repeated(self, model: Any, message: Any) -> bool:
        """Whether a FIFO queue drops a message; else numbers it.

        It remembers an id for five minutes, even if the message is deleted.
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html
        """
        now = self._core.scheduler.now()
        key = (model.queue_arn, message.deduplication_id)
        if getattr(message, "dead_letter_source", None) is None:
            if now - self._seen.get(key, -REMEMBERED_S) < REMEMBERED_S:
                return True
            self._seen[key] = now
        if message.sequence_number is None:
            self._numbered += 1
            message.sequence_number = f"{self._numbered:020}"
        return False

    def add(self, path: str, name: str, arn: str, redrive_allow_policy: dict[str, Any]) -> None:
        """Adds a queue that was just created."""
        self._by_arn[arn] = Queue(self._core, path, name, arn, redrive_allow_policy)

    def remove(self, arn: str) -> None:
        """Forgets a queue that is deleted."""
        del self._by_arn[arn]
        self.dead_letter_arns.discard(arn)

    def by_arn(self, arn: str) -> Queue:
        """Returns the queue with an ARN; RehearsalError if there is none."""
        if arn not in self._by_arn:
            raise RehearsalError(f"there is no queue {arn}")
        return self._by_arn[arn]

    def by_path(self, path: str) -> Queue:
        """Returns the queue at a construct path; RehearsalError if there is none."""
        for queue in self:
            if queue.path == path:
                return queue
        near = [queue.path for queue in self if queue.path.endswith(path.rsplit("/", 1)[-1])]
        hint = f"; there are {', '.join(near[:5])}" if near else ""
        raise RehearsalError(f"no queue at {path}{hint}")

    def redrive(
        self, path: str, destination: str | None = None, only: Collection[str] | None = None
    ) -> int:
        """Moves a dead-letter queue's messages back to their sources, or to ``destination``.

        Returns how many. See ``Queue.redrive``.
        """
        target = self.by_path(destination) if destination else None
        return self.by_path(path).redrive(
            lambda source: target or (self.by_arn(source) if source else None), only
        )


def _source_of(message: Any) -> str | None:
    """Returns the ARN of the queue from which SQS has moved a message."""
    return getattr(message, "dead_letter_source", None)


def moved(core: Core, source: Any, message: Message, target: Any) -> None:
    """Moves a message between two of moto's queues.

    It is a new one then, with a new id and a receive count of zero:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
    """
    source._messages.remove(message)
    source.pending_messages.discard(message)
    again = Message(core.new_id(), message.body)
    again.message_attributes = message.message_attributes
    if message.group_id is not None:
        # Its own id would let a FIFO queue drop it as a repetition.
        again.group_id, again.deduplication_id = message.group_id, core.new_id()
    again.mark_sent()
    target.add_message(again)
    core.meter.add(
        "redriven",
        core.path_of(source.queue_arn),
        core.path_of(target.queue_arn),
        messages=[message.id],
        queued=again.id,
        **event_in(message.body),
    )


def _attribute(attribute: dict[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if "StringValue" in attribute:
        value["stringValue"] = attribute["StringValue"]
    if "BinaryValue" in attribute:
        value["binaryValue"] = base64.b64encode(attribute["BinaryValue"]).decode()
    return {
        **value,
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": attribute["DataType"],
    }


def _visible(fifo: bool, messages: Iterable[Message], now_ms: float) -> Iterator[Message]:
    """Yields what can be received; in a FIFO queue, nothing of a group that is being processed.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
    """
    busy: set[str | None] = set()
    for message in messages:
        if message.visible_at > now_ms or message.delayed_until > now_ms:
            if fifo:
                busy.add(message.group_id)
        elif not busy or message.group_id not in busy:
            yield message
