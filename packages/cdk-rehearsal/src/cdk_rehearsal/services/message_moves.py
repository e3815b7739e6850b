"""SQS: tasks that move the messages of a dead-letter queue to another queue."""

import base64
import json
from dataclasses import dataclass
from typing import Any, Literal

from moto.core.responses import ActionResult
from moto.sqs.exceptions import InvalidParameterValue, QueueDoesNotExist, SQSException
from moto.sqs.responses import SQSResponse

from cdk_rehearsal.core import Core
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.queues import moved

_ACTIVE = ("RUNNING", "CANCELLING")

Status = Literal["RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED"]


@dataclass
class _Task:
    """A task, with the members of an entry of ListMessageMoveTasks."""

    handle: str
    source_arn: str
    destination_arn: str | None
    rate: int | None
    to_move: int
    started: float
    moved: int = 0
    status: Status = "RUNNING"
    failure: str | None = None

    def entry(self) -> dict[str, Any]:
        """Returns the entry; only a task that runs has a handle."""
        members = {
            "TaskHandle": self.handle if self.status == "RUNNING" else None,
            "Status": self.status,
            "SourceArn": self.source_arn,
            "DestinationArn": self.destination_arn,
            "MaxNumberOfMessagesPerSecond": self.rate,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "FailureReason": self.failure,
            "StartedTimestamp": int(self.started * 1000),
        }
        return {name: value for name, value in members.items() if value is not None}


class MessageMoves:
    """All tasks of an account, in the order of their start.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._tasks: list[_Task] = []

    def install(self, patches: Patches) -> None:
        """Answers the three operations of the API, which moto does not have."""

        def start(response: SQSResponse) -> ActionResult:
            return ActionResult({"TaskHandle": self._start(response)})

        def listed(response: SQSResponse) -> ActionResult:
            return ActionResult({"Results": self._list(response)})

        def cancel(response: SQSResponse) -> ActionResult:
            moved_so_far = self._cancel(response._get_param("TaskHandle"))
            return ActionResult({"ApproximateNumberOfMessagesMoved": moved_so_far})

        patches.set(SQSResponse, "start_message_move_task", start)
        patches.set(SQSResponse, "list_message_move_tasks", listed)
        patches.set(SQSResponse, "cancel_message_move_task", cancel)

    def _start(self, response: SQSResponse) -> str:
        backend = response.sqs_backend
        source_arn = response._get_param("SourceArn")
        destination_arn = response._get_param("DestinationArn")
        rate = response._get_param("MaxNumberOfMessagesPerSecond")
        source = _queue(backend, source_arn, "SourceArn")
        if destination_arn is not None:
            _queue(backend, destination_arn, "DestinationArn")
        if not backend.list_dead_letter_source_queues(source.name):
            raise InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
        if rate is not None and not 1 <= rate <= LIMITS["sqs.move_rate"]:
            raise InvalidParameterValue(
                f"Value {rate} for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must "
                f"be between 1 and {LIMITS['sqs.move_rate']}."
            )
        active = [task for task in self._tasks if task.status in _ACTIVE]
        if any(task.source_arn == source_arn for task in active):
            raise SQSException(
                "AWS.SimpleQueueService.UnsupportedOperation",
                "There is already a task running. Only one active task is allowed for a source "
                "queue arn at a given time.",
            )
        if len(active) >= LIMITS["sqs.moves"]:
            raise SQSException("RequestThrottled", f"There are {LIMITS['sqs.moves']} active tasks.")
        task = _Task(
            handle=_handle(self._core.new_id(), source_arn),
            source_arn=source_arn,
            destination_arn=destination_arn,
            rate=rate,
            to_move=source.approximate_number_of_messages,
            started=self._core.scheduler.now(),
        )
        self._tasks.append(task)
        self._core.scheduler.spawn(
            self._run, backend, task, name=f"move of messages from {source.name}", critical=True
        )
        return task.handle

    def _list(self, response: SQSResponse) -> list[dict[str, Any]]:
        source_arn = response._get_param("SourceArn")
        _queue(response.sqs_backend, source_arn, "SourceArn")
        most = response._get_param("MaxResults") or 1
        if not 1 <= most <= LIMITS["sqs.moves_listed"]:
            raise InvalidParameterValue(
                f"Value {most} for parameter MaxResults is invalid. Reason: Must be between 1 and "
                f"{LIMITS['sqs.moves_listed']}."
            )
        tasks = [task for task in reversed(self._tasks) if task.source_arn == source_arn]
        return [task.entry() for task in tasks[:most]]

    def _cancel(self, handle: str) -> int:
        task = next((task for task in self._tasks if task.handle == handle), None)
        if task is None:
            raise SQSException("ResourceNotFoundException", "Task does not exist.")
        if task.status != "RUNNING":
            raise SQSException(
                "AWS.SimpleQueueService.UnsupportedOperation",
                f"A task can be cancelled only while it is RUNNING, and this one is {task.status}.",
            )
        task.status = "CANCELLING"
        return task.moved

    def _run(self, backend: Any, task: _Task) -> None:
        """Moves the oldest message first, at the rate of the task."""
        scheduler = self._core.scheduler
        ends = task.started + LIMITS["sqs.move_s"]
        while task.moved < task.to_move and task.status == "RUNNING":
            try:
                if not self._move_one(backend, task):
                    break
            except SQSException as error:
                task.status, task.failure = "FAILED", error.code
                return
            task.moved += 1
            scheduler.sleep(1 / (task.rate or LIMITS["sqs.move_rate"]))
            if scheduler.now() >= ends:
                task.status, task.failure = "FAILED", "The task has run for 36 hours."
                return
        task.status = "CANCELLED" if task.status == "CANCELLING" else "COMPLETED"

    def _move_one(self, backend: Any, task: _Task) -> bool:
        """Moves a message; returns False if none is visible.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/troubleshooting-dlq-redrive.html
        """
        source = backend.get_queue(_name(task.source_arn))
        message = next((message for message in source._messages if message.visible), None)
        if message is None:
            return False
        target_arn = task.destination_arn or getattr(message, "dead_letter_source", None)
        if target_arn is None:
            raise SQSException("CouldNotDetermineMessageSource", "no queue has sent the message")
        moved(self._core, source, message, backend.get_queue(_name(target_arn)))
        return True


def _queue(backend: Any, arn: str, parameter: str) -> Any:
    try:
        queue = backend.get_queue(_name(arn))
    except QueueDoesNotExist:
        queue = None
    if queue is None or queue.queue_arn != arn:
        raise SQSException(
            "ResourceNotFoundException",
            f"The resource that you specified for the {parameter} parameter doesn't exist.",
        )
    return queue


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]


def _handle(task_id: str, source_arn: str) -> str:
    text = json.dumps({"taskId": task_id, "sourceArn": source_arn})
    return base64.b64encode(text.encode()).decode()
