"""SQS: calls whose cost does not grow with the depth of the queue, in virtual time."""

import copy
import json
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.core.utils import camelcase_to_underscores, unix_time_millis
from moto.sqs import models
from moto.sqs.exceptions import InvalidParameterValue, ReceiptHandleIsInvalid, SQSException
from moto.sqs.models import Message, Queue, SQSBackend

from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.virtual_time.scheduler import Scheduler

# The interval at which a long poll looks for a new message.
_POLL_S = 0.1


def patch(patches: Patches, scheduler: Scheduler | None) -> None:
    """Replaces functions that scan all messages of a queue, or that wait in real time."""
    patches.set(Queue, "attributes", property(_Attributes))
    for name in ("", "_delayed", "_not_visible"):
        counted = f"approximate_number_of_messages{name}"
        patches.set(Queue, counted, property(_counter(counted)))
    patches.set(Message, "mark_received", _mark_received)
    patches.set(Queue, "add_message", _indexing(Queue.add_message))
    patches.set(Queue, "delete_message", _delete_message)
    patches.set(SQSBackend, "receive_message", _receiving(SQSBackend.receive_message, scheduler))
    patches.set(SQSBackend, "change_message_visibility", _change_message_visibility)


class _Attributes(Mapping[str, Any]):
    """A queue's attributes, computed on access.

    moto reads one or two of them for each sent or received message, but computes all of them, and
    counts the messages three times.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __getitem__(self, name: str) -> Any:
        if name not in self._names():
            raise KeyError(name)
        queue: Any = self._queue
        if name == "RedrivePolicy" and queue.redrive_policy:
            return json.dumps(queue.redrive_policy)
        value = getattr(queue, camelcase_to_underscores(name))
        return str(value).lower() if isinstance(value, bool) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        queue: Any = self._queue
        names = list(queue.BASE_ATTRIBUTES)
        if queue.fifo_queue:
            names += queue.FIFO_ATTRIBUTES
        if queue.kms_master_key_id:
            names += queue.KMS_ATTRIBUTES
        return names


def _counter(name: str) -> Callable[[Queue], int]:
    def count(queue: Queue) -> int:
        now = unix_time_millis()
        messages = queue._messages
        if name.endswith("_delayed"):
            return len([1 for message in messages if now < message.delayed_until])
        if name.endswith("_not_visible"):
            return len([1 for message in messages if now < message.visible_at])
        hidden = [1 for message in messages if now < max(message.visible_at, message.delayed_until)]
        return len(messages) - len(hidden)

    return count


def _mark_received(message: Message, visibility_timeout: int | None = None) -> None:
    # As in moto, except for the handle: moto generates 185 random characters for each.
    now = unix_time_millis()
    if not message.approximate_first_receive_timestamp:
        message.approximate_first_receive_timestamp = int(now)
    message.approximate_receive_count += 1
    if visibility_timeout:
        message.change_visibility(int(visibility_timeout))
    if message.receipt_handle is not None:
        message._old_receipt_handles.append(message.receipt_handle)
    message.receipt_handle = f"{message.id}#{message.approximate_receive_count}"


def _indexing(original: Callable[[Queue, Message], None]) -> Callable[[Queue, Message], None]:
    def add_message(queue: Queue, message: Message) -> None:
        _index(queue)[message.id] = message
        original(queue, message)

    return add_message


def _index(queue: Queue) -> weakref.WeakValueDictionary[str, Message]:
    index: weakref.WeakValueDictionary[str, Message] | None = vars(queue).get("_by_id")
    if index is None:
        index = weakref.WeakValueDictionary((message.id, message) for message in queue._messages)
        vars(queue)["_by_id"] = index
    return index


def _find(queue: Queue, receipt_handle: str) -> Message | None:
    """Returns the message of the queue that has, or had, a receipt handle."""
    message = _index(queue).get(receipt_handle.partition("#")[0])
    if message is None or not message.had_receipt_handle(receipt_handle):
        return None
    return message


def _delete_message(queue: Queue, receipt_handle: str) -> None:
    if receipt_handle in queue.deleted_messages:
        return
    message = _find(queue, receipt_handle)
    if message is None or message not in queue._messages:
        raise ReceiptHandleIsInvalid
    queue._messages.remove(message)
    queue.pending_messages.discard(message)
    queue.deleted_messages.update(filter(None, message.all_receipt_handles))


def _change_message_visibility(
    backend: SQSBackend, queue_name: str, receipt_handle: str, visibility_timeout: int
) -> None:
    queue = backend.get_queue(queue_name)
    message = _find(queue, receipt_handle)
    if message is None or message not in queue._messages:
        raise ReceiptHandleIsInvalid
    received = message.approximate_first_receive_timestamp or unix_time_millis()
    most = LIMITS["sqs.visibility_s"]
    if unix_time_millis() + int(visibility_timeout) * 1000 - received > most * 1000:
        raise InvalidParameterValue(
            f"Value {visibility_timeout} for parameter VisibilityTimeout is invalid. Reason: "
            f"Total VisibilityTimeout for the message is beyond the limit [{most} seconds]"
        )
    message.change_visibility(visibility_timeout)
    if message.visible:
        queue.pending_messages.discard(message)


class _OverLimit(SQSException):
    """A queue has too many messages in flight."""

    def __init__(self) -> None:
        super().__init__("OverLimit", "Too many messages in flight.")


def is_full(queue: Queue) -> bool:
    """Whether a queue hands out no more messages, as too many are in flight.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
    """
    most = LIMITS["sqs.in_flight"]
    if len(queue.pending_messages) < most:
        return False
    now = unix_time_millis()
    return sum(message.visible_at > now for message in queue._messages) >= most


def _receiving(
    original: Callable[..., list[Message]], scheduler: Scheduler | None
) -> Callable[..., list[Message]]:
    def receive_message(
        backend: SQSBackend,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Message]:
        queue = backend.get_queue(queue_name)
        names = message_attribute_names or []

        def once() -> list[Message]:
            if queue.fifo_queue:
                return original(backend, queue_name, count, 0, visibility_timeout, names)
            return _received(queue, count, visibility_timeout, names)

        if is_full(queue):
            raise _OverLimit
        messages = once()
        waited = 0.0
        # A caller in another thread would block the rehearsal, so it does not wait.
        foreign = scheduler is not None and scheduler.is_foreign_thread()
        while not messages and waited < wait_seconds_timeout and not foreign:
            if scheduler is None:
                threading.Event().wait(_POLL_S)
            else:
                scheduler.sleep(_POLL_S)
            waited += _POLL_S
            messages = once()
        return messages

    return receive_message


def _received(
    queue: Queue, count: int, visibility_timeout: int, attribute_names: list[str]
) -> list[Message]:
    """Receives from a standard queue; parks messages that were received too often."""
    now = unix_time_millis()
    limits: Any = queue
    oldest = now - limits.message_retention_period * 1000
    policy = limits.redrive_policy if queue.dead_letter_queue is not None else None
    taken, dead, expired = list[Message](), list[Message](), list[Message]()
    for message in queue._messages:
        if message.visible_at > now or message.delayed_until > now:
            continue
        if message.sent_timestamp <= oldest:
            expired.append(message)
        elif policy and message.approximate_receive_count >= policy["maxReceiveCount"]:
            dead.append(message)
        else:
            taken.append(message)
            if len(taken) == count:
                break
    for message in expired + dead:
        queue._messages.remove(message)
        queue.pending_messages.discard(message)
    for message in dead:
        message.visible_at = 0.0
        message.dead_letter_source = queue.queue_arn  # type: ignore[attr-defined]
        queue.dead_letter_queue.add_message(message)  # type: ignore[union-attr]
    result = list[Message]()
    for message in taken:
        queue.pending_messages.add(message)
        message.mark_received(visibility_timeout=visibility_timeout)
        # Only the copy for the client loses the attributes that were not requested.
        handed = copy.copy(message)
        models._filter_message_attributes(handed, attribute_names)
        result.append(handed)
    return result
