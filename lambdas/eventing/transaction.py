"""One transaction: the effect, the inbox key and the outbox events, all or nothing."""

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

from botocore.exceptions import ClientError

from lambdas.eventing import aws
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.eventing.event import Cause, CloudEvent, Delivery, E, Event
from lambdas.eventing.settings import TableSettings

MAX_OPERATIONS = 100
"""Operations in one transaction.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""

OUTBOX_DAYS = 16
"""How long a published event stays readable in its table, for whoever has to publish it again. The
relay tries for most of a day, and what it reports then waits in a queue for two weeks."""

_ATTEMPTS = 8
_FIRST_PAUSE_S = 0.025
_LONGEST_PAUSE_S = 1.0
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_INBOX = "inbox"

Key = tuple[str, str]
"""Partition key and sort key."""


class AlreadyProcessed(Exception):
    """The inbox holds this event already: a duplicate, to be acknowledged as done."""


class ConditionFailed(Exception):
    """Conditions of the effect did not hold, and nothing was written. `labels` says which ones."""

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = frozenset(labels)
        super().__init__(f"conditions failed: {', '.join(sorted(self.labels))}")


class Contention(Exception):
    """Others kept changing the same items, or the table was throttled. Trying later may help."""


class Transaction:
    """Collects writes to one context's table and commits them at once."""

    def __init__(self, settings: TableSettings, cause: Cause) -> None:
        self._settings = settings
        self._cause = cause
        self._operations: list[Any] = []
        self._labels: list[str] = []

    @classmethod
    def reacting_to(cls, delivery: Delivery[E], settings: TableSettings) -> Self:
        """A transaction that commits once per event, however often the event is delivered."""
        transaction = cls(settings, delivery)
        transaction.once(delivery.consumer, delivery.event_id)
        return transaction

    def once(self, consumer: str, key: str, *, label: str = _INBOX) -> None:
        """Lets the commit succeed only the first time for (`consumer`, `key`).

        With a `label` of its own, a repetition raises ConditionFailed with it: for transactions
        about several events at once.
        """
        inbox_key = f"INBOX#{consumer}#{key}"
        expires_at = expiry(self._settings.inbox_days)
        self.create(
            (inbox_key, inbox_key),
            {"kind": "inbox", "expires_at": expires_at},
            label=label,
        )

    def create(self, key: Key, item: Mapping[str, Any], *, label: str = "create") -> None:
        """Writes a new item; the commit fails if there is one under `key`."""
        self.put(key, item, condition="attribute_not_exists(pk)", label=label)

    def put(
        self,
        key: Key,
        item: Mapping[str, Any],
        *,
        condition: str | None = None,
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
        label: str = "put",
    ) -> None:
        """Writes an item, replacing one under the same key if `condition` holds."""
        put = {"Item": to_attributes({"pk": key[0], "sk": key[1], **item})}
        self._add("Put", put, condition, values, names, label)

    def update(
        self,
        key: Key,
        expression: str,
        *,
        values: Mapping[str, Any],
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        label: str = "update",
    ) -> None:
        """Changes an item if `condition` holds."""
        update = {
            "Key": to_attributes({"pk": key[0], "sk": key[1]}),
            "UpdateExpression": expression,
        }
        self._add("Update", update, condition, values, names, label)

    def publish(self, key: Key, event: Event, *, also_as: Sequence[Event] = ()) -> None:
        """Adds `event` to the outbox, beside the item of its aggregate under `key`.

        It shares the aggregate's partition key, so the stream hands an aggregate's events to the
        relay in the order of their commits. `also_as` says the same in versions that the event's
        class supersedes, for those who still read them.
        """
        envelope = CloudEvent.wrap(event, self._cause)
        self._send(key, f"OUTBOX#{envelope.id}", envelope)
        for older in sorted(also_as, key=lambda older: older.version, reverse=True):
            if type(older) not in type(event).versions()[1:] or older.subject != event.subject:
                raise ValueError(
                    f"{older} is no older version of {event}: its class has to be superseded, and "
                    "both have to be about the same subject"
                )
            envelope = envelope.also_as(older)
            self._send(key, f"OUTBOX#{envelope.id}#{envelope.type}", envelope)

    def _send(self, key: Key, sort_key: str, envelope: CloudEvent) -> None:
        item = {
            "kind": "outbox",
            "source": envelope.source,
            "detail_type": envelope.type,
            "detail": envelope.to_json(),
            "expires_at": expiry(OUTBOX_DAYS),
        }
        self.put((key[0], sort_key), item, label="outbox")

    def commit(self) -> None:
        """Writes everything, or nothing.

        Raises AlreadyProcessed, ConditionFailed, or Contention after several tries with growing,
        jittered pauses. Other errors of DynamoDB pass through.
        """
        for attempt in range(_ATTEMPTS):
            try:
                aws.dynamodb().transact_write_items(TransactItems=self._operations)
                return
            except ClientError as error:
                self._raise_unless_passing(error)
            _pause(attempt)
        raise Contention(f"{len(self._operations)} items stayed contended for {_ATTEMPTS} attempts")

    def _add(
        self,
        operation: Literal["Put", "Update"],
        request: dict[str, Any],
        condition: str | None,
        values: Mapping[str, Any] | None,
        names: Mapping[str, str] | None,
        label: str,
    ) -> None:
        request["TableName"] = self._settings.table_name
        if condition:
            request["ConditionExpression"] = condition
        if names:
            request["ExpressionAttributeNames"] = dict(names)
        if values:
            request["ExpressionAttributeValues"] = to_attributes(values)
        self._operations.append({operation: request})
        self._labels.append(label)

    def _raise_unless_passing(self, error: ClientError) -> None:
        code = error.response["Error"]["Code"]
        if code == "TransactionInProgressException":
            return
        if code != "TransactionCanceledException":
            raise error
        response: dict[str, Any] = {**error.response}
        reasons = [reason.get("Code") for reason in response["CancellationReasons"]]
        failed = [
            label
            for label, reason in zip(self._labels, reasons, strict=True)
            if reason == "ConditionalCheckFailed"
        ]
        if _INBOX in failed:
            raise AlreadyProcessed from error
        if failed:
            raise ConditionFailed(failed) from error
        if not _PASSING.intersection(reasons):
            raise error


def read(settings: TableSettings, key: Key) -> Item | None:
    """The item under `key` as of now (strongly consistent), or None."""
    found = aws.dynamodb().get_item(
        TableName=settings.table_name,
        Key=to_attributes({"pk": key[0], "sk": key[1]}),
        ConsistentRead=True,
    )
    return from_attributes(found["Item"]) if "Item" in found else None


def read_all(settings: TableSettings, keys: Sequence[Key]) -> dict[Key, Item]:
    """The items that there are under up to 100 different keys, each as of now.

    Raises Contention if the table stays throttled. Not a snapshot: one may change while the next
    is read. https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
    """
    found: dict[Key, Item] = {}
    wanted: Any = {
        settings.table_name: {
            "Keys": [to_attributes({"pk": key[0], "sk": key[1]}) for key in keys],
            "ConsistentRead": True,
        }
    }
    for attempt in range(_ATTEMPTS):
        answer = aws.dynamodb().batch_get_item(RequestItems=wanted)
        for item in map(from_attributes, answer["Responses"].get(settings.table_name, [])):
            found[item["pk"], item["sk"]] = item
        wanted = answer["UnprocessedKeys"]
        if not wanted:
            return found
        _pause(attempt)
    raise Contention(f"{len(keys) - len(found)} items could not be read in {_ATTEMPTS} attempts")


def _pause(attempt: int) -> None:
    """Waits before the next attempt, longer each time, and never as long as others do."""
    ceiling = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)
    time.sleep(random.uniform(0, ceiling))


def expiry(days: int) -> int:
    """The time in `days` days, as DynamoDB's time to live wants it: in seconds since 1970."""
    return int((datetime.now(UTC) + timedelta(days=days)).timestamp())
