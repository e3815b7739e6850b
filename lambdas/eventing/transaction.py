"""One transaction: the effect, the inbox key, the outbox events and personal data, or nothing."""

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

from botocore.exceptions import ClientError

from lambdas.eventing import aws, declaration, trace, vault
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.eventing.declaration import BATCH_GET, DELETE, GET, PUT, UPDATE, Use
from lambdas.eventing.event import Cause, CloudEvent, Delivery, E, Event
from lambdas.eventing.personal import Claim, Discard, VaultChange
from lambdas.eventing.settings import TableSettings

MAX_OPERATIONS = 100
"""Operations in one transaction.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""

MAX_KEYS = 100
"""Items that `read_all` reads at once.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""

OUTBOX_DAYS = 16
"""How long a published event stays in its table, so that it can be published again. The relay
retries for most of a day, and a failed batch then waits in a queue for two weeks."""

_ATTEMPTS = 8
_FIRST_PAUSE_S = 0.025
_LONGEST_PAUSE_S = 1.0
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Reasons of a cancelled transaction after which a retry may succeed."""
_PASSING_ALONE = {
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
}
"""Their counterparts, errors of a write that is no transaction.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html"""
_INBOX = "inbox"
_USES: Mapping[str, Use] = {"Delete": DELETE, "Put": PUT, "Update": UPDATE}

Key = tuple[str, str]
"""Partition key and sort key."""


class AlreadyProcessed(Exception):
    """The inbox contains the event: it is a duplicate, to be acknowledged."""


class ConditionFailed(Exception):
    """Conditions of the effect failed, and nothing was written. `labels` names them.

    `found` is the item that failed the condition, if the transaction has only this operation.
    """

    def __init__(self, labels: Iterable[str], found: Item | None = None) -> None:
        self.labels = frozenset(labels)
        self.found = found
        super().__init__(f"conditions failed: {', '.join(sorted(self.labels))}")


class Contention(Exception):
    """Other writers kept changing the same items, or the table was throttled. Retry later."""


class Transaction:
    """Collects writes to one context's table and to the vault, and commits them at once."""

    def __init__(self, settings: TableSettings, cause: Cause) -> None:
        self._settings = settings
        self.cause = cause
        """The request or event that causes it."""
        self._operations: list[Any] = []
        self._labels: list[str] = []
        self._published: list[CloudEvent] = []

    @classmethod
    def reacting_to(cls, delivery: Delivery[E], settings: TableSettings) -> Self:
        """Returns a transaction that commits once per event, however often it is delivered."""
        transaction = cls(settings, delivery)
        transaction.once(delivery.consumer, delivery.event_id)
        return transaction

    def __len__(self) -> int:
        """Returns the number of operations."""
        return len(self._operations)

    def once(self, consumer: str, key: str, *, label: str = _INBOX) -> None:
        """Lets the commit succeed only the first time for (`consumer`, `key`).

        With another `label`, a repetition raises ConditionFailed with this label. Transactions
        that handle several events need this.
        """
        inbox_key = f"INBOX#{consumer}#{key}"
        expires_at = expiry(self._settings.inbox_days)
        self.create(
            (inbox_key, inbox_key),
            {"kind": "inbox", "expires_at": expires_at},
            label=label,
        )

    def create(self, key: Key, item: Mapping[str, Any], *, label: str = "create") -> None:
        """Writes a new item; the commit fails if `key` exists."""
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
        """Writes or replaces an item if `condition` holds."""
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

    def delete(self, key: Key, *, label: str = "delete") -> None:
        """Deletes an item, if there is one."""
        self._add(
            "Delete", {"Key": to_attributes({"pk": key[0], "sk": key[1]})}, None, None, None, label
        )

    def publish(
        self,
        key: Key,
        event: Event,
        *,
        also_as: Sequence[Event] = (),
        traceparent: str | None = None,
        synthetic: bool = False,
    ) -> None:
        """Adds `event` to the outbox, beside the item of its aggregate under `key`.

        Both have the same partition key, so the stream delivers an aggregate's events to the relay
        in the order of their commits. `also_as` is the same fact in versions that the event's class
        supersedes, for consumers that still read them. The event carries on the trace of the unit
        of work that runs, if not that of `traceparent`. It is marked as `synthetic`, or as its
        cause is. Raises Undeclared.
        """
        for each in (event, *also_as):
            declaration.check(type(each))
        envelope = CloudEvent.wrap(event, self.cause, traceparent=traceparent, synthetic=synthetic)
        self._published.append(envelope)
        self._send(key, f"OUTBOX#{envelope.id}", envelope)
        for older in sorted(also_as, key=lambda older: older.version, reverse=True):
            if type(older) not in type(event).versions()[1:] or older.subject != event.subject:
                raise ValueError(
                    f"{older} is not an older version of {event}: its class must be superseded, "
                    "and both must have the same subject"
                )
            envelope = envelope.also_as(older)
            self._send(key, f"OUTBOX#{envelope.id}#{envelope.type}", envelope)

    def change_vault(self, claim: Claim, change: VaultChange) -> None:
        """Deposits or discards personal data, or changes how long they are kept. Raises Undeclared.

        Only the events and items that the transaction writes beside them name the claim.
        """
        days = None if isinstance(change, Discard) else change.days
        expires_at = None if days is None else expiry(days)
        self._operations.append(vault.operation(claim, change, expires_at))
        self._labels.append("vault")

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
        """Writes everything or nothing.

        Retries conflicts with exponential backoff and full jitter. Raises AlreadyProcessed,
        ConditionFailed or, after the last attempt, Contention. Other errors of DynamoDB pass
        through.

        A single operation is written without a transaction, which would cost twice. If the answer
        gets lost, the client's retry finds the condition failed by its own first try. So a caller
        with one conditional operation looks again at what is stored, such as `found`.
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
        """
        for attempt in range(_ATTEMPTS):
            try:
                _write(self._operations)
                trace.note(self._published)
                return
            except ClientError as error:
                self._raise_unless_passing(error)
            _pause(attempt)
        raise Contention(f"{len(self._operations)} items stayed contended for {_ATTEMPTS} attempts")

    def _add(
        self,
        operation: Literal["Delete", "Put", "Update"],
        request: dict[str, Any],
        condition: str | None,
        values: Mapping[str, Any] | None,
        names: Mapping[str, str] | None,
        label: str,
    ) -> None:
        declaration.check(_USES[operation])
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
        response: dict[str, Any] = {**error.response}
        alone = _PASSING_ALONE if len(self._operations) == 1 else frozenset()
        if code == "TransactionInProgressException" or code in alone:
            return
        if code == "ConditionalCheckFailedException":
            if _INBOX in self._labels:
                raise AlreadyProcessed from error
            found = response.get("Item")
            raise ConditionFailed(self._labels, found and from_attributes(found)) from error
        if code != "TransactionCanceledException":
            raise error
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


def _write(operations: Sequence[Any]) -> None:
    """Sends the operations of a transaction, or its only operation as a plain write."""
    client = aws.dynamodb()
    if len(operations) > 1:
        client.transact_write_items(TransactItems=operations)
        return
    ((kind, request),) = operations[0].items()
    if "ConditionExpression" in request:
        request = {**request, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    match kind:
        case "Put":
            client.put_item(**request)
        case "Update":
            client.update_item(**request)
        case "Delete":
            client.delete_item(**request)


def read(settings: TableSettings, key: Key) -> Item | None:
    """Returns the item under `key` (strongly consistent), or None."""
    declaration.check(GET)
    found = aws.dynamodb().get_item(
        TableName=settings.table_name,
        Key=to_attributes({"pk": key[0], "sk": key[1]}),
        ConsistentRead=True,
    )
    return from_attributes(found["Item"]) if "Item" in found else None


def read_all(settings: TableSettings, keys: Sequence[Key]) -> dict[Key, Item]:
    """Returns the items that exist under up to 100 different keys (strongly consistent).

    This is not a snapshot: an item may change while another is read. Raises Contention if the
    table stays throttled.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
    """
    declaration.check(BATCH_GET)
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
    """Waits before the next attempt: exponential backoff with full jitter."""
    ceiling = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)
    time.sleep(random.uniform(0, ceiling))


def expiry(days: int) -> int:
    """Returns the time in `days` days for DynamoDB's time to live, in seconds since 1970."""
    return int((datetime.now(UTC) + timedelta(days=days)).timestamp())
