"""Redrives, and messages that are discarded: each is planned in words first, then confirmed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.console.deployed.account import Account, CallFailed
from cdk_rehearsal.console.deployed.journal import Journal
from cdk_rehearsal.console.deployed.places import Places
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.replays import Redrive, Refused, temporary
from cdk_rehearsal.topology import edges

T = TypeVar("T")

_HELD_S = 30
_MOST = 100
"""The number of messages that are received to look at them."""
_VALID_S = 300.0
"""How long a plan can be confirmed."""
_TASK_EVERY_S = 2.0

LOOKING = (
    "To look at messages is to receive them: for some seconds, at most "
    f"{_HELD_S}, nobody else can receive them, and an alarm on visible messages may see fewer. "
    "SQS counts one more reception of each. None is lost, and none is moved. The first "
    f"{_MOST} are shown."
)
"""What it does to receive messages.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
"""


class BadOperation(RehearsalError):
    """An operation that cannot be carried out; the message says why."""


@dataclass(frozen=True)
class _Plan:
    """An operation, what it will do in words, and until when it can be confirmed."""

    what: str
    path: str
    says: str
    run: Callable[[dict[str, Any]], str]
    """Carries it out, given its entry in the journal. Returns its result."""
    until: float
    details: Mapping[str, Any]


@dataclass
class _Task:
    """Messages that SQS moves, until it has ended."""

    operation: dict[str, Any]
    arn: str
    handle: str
    due: float


class Operations:
    """What an operator can do about dead-letter queues."""

    def __init__(self, account: Account, places: Places, journal: Journal | None) -> None:
        """Without a journal, nothing can be done: the page is read-only."""
        self._account = account
        self._places = places
        self._journal = journal
        self._plans: dict[str, _Plan] = {}
        self._tasks: list[_Task] = []
        found = edges(places.assembly)
        self._fed: dict[str, set[str]] = {}
        """The queues whose messages are parked in a dead-letter queue, by its path."""
        for edge in found:
            if edge.parking and edge.target in places.queues:
                self._fed.setdefault(edge.parking, set()).add(edge.target)
            if edge.parking and edge.source in places.queues:
                self._fed.setdefault(edge.parking, set()).add(edge.source)
        self._moves_to = self._redriven_queues()

    def _redriven_queues(self) -> dict[str, set[str]]:
        """Returns the queues with a redrive policy, by the path of their dead-letter queue."""
        found: dict[str, set[str]] = {}
        for queue, _ in self._places.of("AWS::SQS::Queue"):
            policy = queue.properties.get("RedrivePolicy") or {}
            dead = self._places.assembly.find(queue.stack, policy.get("deadLetterTargetArn"))
            if dead is not None:
                found.setdefault(dead.path, set()).add(queue.path)
        return found

    def _subscribers(self, path: str) -> Iterator[Resource]:
        """Yields the subscribers whose records a dead-letter queue has."""
        assembly = self._places.assembly
        for each, _ in self._places.of("AWS::EventsV2::Subscriber"):
            stated = (each.properties.get("OnFailureConfiguration") or {}).get("Arn")
            queue = assembly.find(each.stack, stated)
            if queue is not None and queue.path == path:
                yield each

    @property
    def operates(self) -> bool:
        """Whether anything can be done."""
        return self._journal is not None

    @property
    def done(self) -> list[dict[str, Any]]:
        """What was done from this page."""
        return self._journal.operations if self._journal else []

    # -- looking --------------------------------------------------------------------------

    def about(self, path: str) -> dict[str, Any]:
        """Returns what a dead-letter queue has, and what can be done about it."""
        self._url(path)
        sources, subscribers = self._moves_to.get(path, set()), [*self._subscribers(path)]
        if sources:
            says = f"Messages of {', '.join(sorted(sources))} are parked here."
        elif subscribers:
            says = (
                "Records of events are parked here that the bus gave up. They have no payload: the "
                "bus delivers the events again."
            )
        else:
            says = (
                "Only services send messages here. SQS cannot move these back, because they come "
                "from no queue: see the runbook of the application."
            )
        operations = [{"what": "redrive", "name": "Redrive all"}] if sources else []
        for each in subscribers:
            operations += [
                {"what": f"replay {each.path}", "name": f"Deliver again to {each.path}"},
                {"what": f"finish {each.path}", "name": "Finish: delete the records"},
            ]
        return {"says": says, "looking": LOOKING, "operations": operations}

    def letters(self, path: str) -> dict[str, Any]:
        """Receives messages to look at them, and lets others receive them again."""
        self._open_journal()
        url = self._url(path)
        policy = self._resource(path).properties.get("RedrivePolicy")
        if policy:
            raise BadOperation(
                f"{path} has a dead-letter queue of its own, to which messages go that are "
                "received too often: look at them there"
            )
        with self._held(url) as messages:
            shown = [_letter(each) for each in messages]
        more = " There may be more." if len(shown) >= _MOST else ""
        return {"messages": shown, "says": f"Messages received: {len(shown)}.{more}"}

    @contextmanager
    def _held(self, url: str, wanted: Collection[str] = ()) -> Iterator[list[dict[str, Any]]]:
        """Receives messages, until there are enough or the wanted ones are among them.

        Those that are left in the list at the end can be received again at once.
        """
        held: dict[str, dict[str, Any]] = {}
        messages: list[dict[str, Any]] = []
        try:
            # A long search would end after the first messages can be received by others.
            until = self._account.now() + _HELD_S / 2
            while self._account.now() < until if wanted else len(held) < _MOST:
                answer = self._account.require(
                    "sqs",
                    "receive_message",
                    QueueUrl=url,
                    MaxNumberOfMessages=10,
                    VisibilityTimeout=_HELD_S,
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
                new = [each for each in answer.get("Messages", ()) if each["MessageId"] not in held]
                if not new:
                    break
                held |= {each["MessageId"]: each for each in new}
                messages += new
                if wanted and held.keys() >= {*wanted}:
                    break
            yield messages
        finally:
            for each in messages:
                self._account.require(
                    "sqs",
                    "change_message_visibility",
                    QueueUrl=url,
                    ReceiptHandle=each["ReceiptHandle"],
                    VisibilityTimeout=0,
                )

    # -- planning and doing ---------------------------------------------------------------

    def plan(
        self,
        what: str,
        path: str,
        message_id: str = "",
        reason: str = "",
        only: Sequence[str] = (),
    ) -> dict[str, str]:
        """Plans an operation. Returns what it will do, in words, and the token that confirms it."""
        self._open_journal()
        url = self._url(path)
        kind, _, subscriber = what.partition(" ")
        match kind:
            case "redrive" if only:
                plan = self._redrive_some(path, url, frozenset(only))
            case "redrive":
                plan = self._redrive(path, url)
            case "replay":
                plan = self._replay(path, url, subscriber)
            case "finish":
                plan = self._finish(path, url, subscriber)
            case "discard":
                plan = self._discard(path, url, message_id, reason.strip())
            case _:
                raise BadOperation(f"there is no operation {what!r}")
        token = secrets.token_hex(16)
        self._plans[token] = plan
        return {"token": token, "says": plan.says}

    def operate(self, token: str) -> str:
        """Carries out what was planned, once. Returns its result in words."""
        journal = self._open_journal()
        plan = self._plans.pop(token, None)
        if plan is None or plan.until < self._account.now():
            raise BadOperation("this was not planned, or too long ago: begin again")
        operation = journal.begin(plan.what, plan.path, plan.details)
        try:
            result = plan.run(operation)
        except Exception as error:
            journal.end(operation, f"failed: {_said(error)}")
            raise BadOperation(_said(error)) from error
        journal.end(operation, result)
        return result

    def _planned(
        self,
        what: str,
        path: str,
        says: str,
        run: Callable[[dict[str, Any]], str],
        **details: Any,
    ) -> _Plan:
        caller = f"The journal will name {self._account.identity}."
        until = self._account.now() + _VALID_S
        return _Plan(what, path, f"{says} {caller}", run, until, details)

    def _redrive(self, path: str, url: str) -> _Plan:
        """Plans that SQS moves all messages.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
        """
        sources = sorted(self._moves_to.get(path, ()))
        if not sources:
            raise BadOperation(f"{path} is no dead-letter queue of a queue: SQS cannot redrive it")
        # Messages that a service has sent come from no queue, so the destination is stated.
        fed = sorted(self._fed.get(path, set()) | {*sources})
        to = {"DestinationArn": self._arn(self._url(fed[0]))} if len(fed) == 1 else {}
        where = fed[0] if to else "the queues that they came from"
        number = self._depth(url)
        source = self._arn(url)

        def run(operation: dict[str, Any]) -> str:
            answer = self._account.require("sqs", "start_message_move_task", SourceArn=source, **to)
            task = _Task(operation, source, answer["TaskHandle"], self._account.now())
            self._tasks.append(task)
            return f"SQS moves the messages to {where}"

        says = (
            f"SQS will move all messages of {path}, {number} at the moment, to {where}, where they "
            "count as new. Their consumers will process them again at once."
        )
        return self._planned("redrive", path, says, run, destination=where, messages=number)

    def _redrive_some(self, path: str, url: str, wanted: frozenset[str]) -> _Plan:
        """Plans that some messages are sent to their source queues, and then deleted here."""
        if not self._moves_to.get(path):
            raise BadOperation(f"{path} is no dead-letter queue of a queue: SQS cannot redrive it")
        where = ", ".join(sorted(self._moves_to[path]))

        def run(operation: dict[str, Any]) -> str:
            moved: set[str] = set()
            with self._held(url, wanted) as messages:
                found = [each for each in messages if each["MessageId"] in wanted]
                targets = [self._source_of(path, each) for each in found]
                for each, target in zip(found, targets, strict=True):
                    try:
                        self._move(operation, url, target, each)
                    except CallFailed as error:
                        raise BadOperation(
                            f"messages moved: {len(moved)} of {len(wanted)}. "
                            f"{each['MessageId']} is still here, and may be in {where}: {error}"
                        ) from error
                    moved.add(each["MessageId"])
                    messages.remove(each)
            if missing := sorted(wanted - moved):
                raise BadOperation(
                    f"messages moved: {len(moved)} of {len(wanted)}. Not received, so that they "
                    f"are as they were: {', '.join(missing)}: look at the queue again"
                )
            return f"messages moved: {len(moved)} of {len(wanted)}, to {where}"

        says = (
            f"Messages of {path} that were chosen: {len(wanted)}. They will be sent to {where}, "
            "and count as new there, with their attributes. Each is deleted here once it was sent. "
            "If that is interrupted, a message may be in both queues: its consumer has to "
            "recognize it. To find them, others are received, and released again. The journal will "
            "have the whole messages."
        )
        details = {"destination": where, "message_ids": sorted(wanted)}
        return self._planned("redrive", path, says, run, **details)

    def _move(
        self, operation: dict[str, Any], url: str, target: str, message: Mapping[str, Any]
    ) -> None:
        """Sends a message to another queue, and deletes it then: never before."""
        receipt = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        # It fails if the message is not held any longer, and keeps others from receiving it.
        self._account.require(
            "sqs", "change_message_visibility", VisibilityTimeout=_HELD_S, **receipt
        )
        self._open_journal().end(operation, f"moves {json.dumps(_letter(message))}")
        self._account.require("sqs", "send_message", QueueUrl=target, **_copy(message))
        self._account.require("sqs", "delete_message", **receipt)

    def _source_of(self, path: str, message: Mapping[str, Any]) -> str:
        """Returns the URL of the queue from which SQS has moved a message, or of the only one."""
        urls = [self._url(each) for each in sorted(self._moves_to[path])]
        arn = message.get("Attributes", {}).get("DeadLetterQueueSourceArn")
        found = [each for each in urls if arn in (None, self._arn(each))]
        if len(found) != 1:
            raise BadOperation(
                f"{message['MessageId']} came from {arn or 'no queue'}, and {path} has messages of "
                f"{', '.join(sorted(self._moves_to[path]))}: redrive all of them, or discard it"
            )
        return found[0]

    def _replay(self, path: str, url: str, subscriber: str) -> _Plan:
        redrive = self._redrive_of(path, url, subscriber)
        span = _asked(redrive.span)

        def run(_: dict[str, Any]) -> str:
            kept = redrive.begin(span)
            lost = f", and none before {kept.start:%Y-%m-%dT%H:%M:%SZ}" * (kept.start > span.start)
            return f"the bus delivers its events {kept} again to {subscriber}{lost}"

        says = (
            f"A temporary subscriber will deliver all events {span} that the bus retains to the "
            f"target of {subscriber}, also those that it has already got: the consumer has to "
            "recognize these. The records stay until you finish."
        )
        return self._planned("replay", path, says, run, subscriber=subscriber, span=str(span))

    def _finish(self, path: str, url: str, subscriber: str) -> _Plan:
        redrive = self._redrive_of(path, url, subscriber)
        if not _asked(lambda: temporary(self._account.client("eventbridgev2"), redrive.subscriber)):
            raise BadOperation(f"nothing is delivered again to {subscriber}: deliver it first")

        def run(_: dict[str, Any]) -> str:
            return f"{redrive.finish()} records and the temporary subscriber were deleted"

        says = (
            f"The temporary subscriber of {subscriber} and all records in {path}, "
            f"{self._depth(url)} at the moment, will be deleted, if as many events as these name "
            "were delivered again."
        )
        return self._planned("finish", path, says, run, subscriber=subscriber)

    def _redrive_of(self, path: str, url: str, subscriber: str) -> Redrive:
        for each in self._subscribers(path):
            if each.path == subscriber:
                arn = self._places.id_of(each) or ""
                return _asked(partial(Redrive.of, self._account.client, arn, url))
        raise BadOperation(f"{path} has no records of a subscriber {subscriber!r}")

    def _discard(self, path: str, url: str, message_id: str, reason: str) -> _Plan:
        if not reason:
            raise BadOperation("a message is discarded only with a reason: write one")

        def run(operation: dict[str, Any]) -> str:
            with self._held(url, [message_id]) as messages:
                found = next((each for each in messages if each["MessageId"] == message_id), None)
                if found is None:
                    raise BadOperation(f"{path} has no message {message_id} that can be received")
                # Whole, so that it can be sent again.
                self._open_journal().end(operation, f"deletes {json.dumps(_letter(found))}")
                self._account.require(
                    "sqs", "delete_message", QueueUrl=url, ReceiptHandle=found["ReceiptHandle"]
                )
                messages.remove(found)
            return f"message {message_id} is deleted"

        says = (
            f"Message {message_id} of {path} will be deleted, because: {reason}. The journal will "
            "have the whole message. To find it, others are received, and released again."
        )
        return self._planned("discard", path, says, run, message_id=message_id, reason=reason)

    # -- afterwards -----------------------------------------------------------------------

    def follow(self) -> None:
        """Asks SQS, from time to time, how far it has moved messages."""
        now = self._account.now()
        for task in [each for each in self._tasks if each.due <= now]:
            task.due = now + _TASK_EVERY_S
            latest: list[dict[str, Any]] = []
            with self._account.attempts("progress") as attempts, attempts.at(task.arn):
                latest = self._account.require(
                    "sqs", "list_message_move_tasks", SourceArn=task.arn, MaxResults=1
                )["Results"]
            if not latest or latest[0]["Status"] in {"RUNNING", "CANCELLING"}:
                continue
            status = latest[0]["Status"]
            self._tasks.remove(task)
            moved = latest[0].get("ApproximateNumberOfMessagesMoved", 0)
            reason = latest[0].get("FailureReason")
            self._open_journal().end(
                task.operation,
                f"messages moved: {moved}, {status.lower()}{f': {reason}' if reason else ''}",
            )

    # -- names ----------------------------------------------------------------------------

    def _open_journal(self) -> Journal:
        if self._journal is None:
            raise BadOperation("this page is read-only: start it with --operate")
        return self._journal

    def _url(self, path: str) -> str:
        if path not in self._places.queues:
            raise BadOperation(f"there is no queue {path}")
        return self._places.queues[path]

    def _resource(self, path: str) -> Resource:
        found = self._places.assembly.queue_at(path)
        if found is None:
            raise BadOperation(f"there is no queue {path}")
        return found

    def _arn(self, url: str) -> str:
        account, name = url.split("/")[-2:]
        return f"arn:{self._account.partition}:sqs:{self._account.region}:{account}:{name}"

    def _depth(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages"]
        answer = self._account.require(
            "sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=names
        )
        return int(answer["Attributes"][names[0]])


def _copy(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what has to be sent, so that another queue has the same message.

    In a FIFO queue, a message with an id of the last five minutes would be accepted and not
    delivered, so the copy has one that only a second copy of the same message has.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    """
    system = message.get("Attributes", {})
    copy: dict[str, Any] = {"MessageBody": message["Body"]}
    if attributes := message.get("MessageAttributes"):
        copy["MessageAttributes"] = attributes
    if trace := system.get("AWSTraceHeader"):
        header = {"DataType": "String", "StringValue": trace}
        copy["MessageSystemAttributes"] = {"AWSTraceHeader": header}
    if group := system.get("MessageGroupId"):
        copy["MessageGroupId"] = group
    if "MessageDeduplicationId" in system:
        copy["MessageDeduplicationId"] = message["MessageId"]
    return copy


def _letter(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a message as the page shows it."""
    system = message.get("Attributes", {})
    attributes = {
        name: each.get("StringValue", "(binary)")
        for name, each in message.get("MessageAttributes", {}).items()
    }
    cause = next(
        (
            attributes[name]
            for name in ("Reason", "ERROR_MESSAGE", "ErrorMessage")
            if name in attributes
        ),
        "",
    )
    return {
        "message_id": message["MessageId"],
        "body": message["Body"],
        "attributes": attributes,
        "receive_count": int(system.get("ApproximateReceiveCount", 0)),
        "sent": int(system.get("SentTimestamp", 0)) / 1000,
        "cause": cause,
        "events": [*_events(message["Body"])],
    }


def _events(body: str) -> Iterator[dict[str, Any]]:
    """Yields type and id of the events in a message, as far as it says so."""
    try:
        value = json.loads(body)
    except ValueError:
        return
    if not isinstance(value, dict):
        return
    failed = value.get("failedMessages")
    for each in failed if isinstance(failed, list) else [value]:
        if isinstance(each, dict):
            detail = each.get("detail")
            own = detail.get("id") if isinstance(detail, dict) else None
            type_ = each.get("detail-type") or each.get("type") or "event"
            yield {"type": str(type_), "id": own or each.get("eventId") or each.get("id")}


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (Refused, ValueError, ClientError, BotoCoreError) as error:
        raise BadOperation(_said(error)) from error


def _said(error: Exception) -> str:
    if isinstance(error, Refused | CallFailed | BadOperation | ClientError):
        return str(error)
    return f"{type(error).__name__}: {error}"
