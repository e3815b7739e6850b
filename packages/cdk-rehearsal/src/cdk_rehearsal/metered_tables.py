"""What calls of DynamoDB use: request units of tables and indexes, and storage."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.billing import (
    GB,
    ITEM,
    MONTH_S,
    Attributes,
    index_units,
    item_bytes,
    read_units,
    write_units,
)
from cdk_rehearsal.core import Perform

Add = Callable[[str, str, str, float], None]
"""Adds units: the name of the price, the kind of use, who uses it, and how many."""

KEPT_S = 365 * 86_400
"""How long an item counts that does not expire."""

_CHARGED = {"ConditionalCheckFailedException", "TransactionCanceledException"}
"""Errors of writes that are billed.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html"""

_Key = tuple[str, ...]


class MeteredTables:
    """Counts the units of reads and writes, and how long items are stored."""

    def __init__(
        self,
        account: str,
        region: str,
        now: Callable[[], float],
        add: Add,
        resources: list[Resource],
    ) -> None:
        self._backend: Any = dynamodb_backends[account][region]
        self._now = now
        self._add = add
        self._stored: dict[_Key, _Stored] = {}
        self._recoverable = {r.physical_id for r in resources if recovery_of(r.properties)}

    def call(
        self, who: str, perform: Perform, client: Any, operation: str, given: dict[str, Any]
    ) -> Any:
        """Performs a call, and counts what it uses."""
        if operation not in _WRITES:
            answer = perform(client, operation, given)
            self._count_reads(who, operation, given, answer)
            return answer
        writes = [_Write(self._backend, *each) for each in _WRITES[operation](given)]
        transactional = operation == "TransactWriteItems"
        try:
            answer = perform(client, operation, given)
        except ClientError as error:
            if error.response["Error"]["Code"] in _CHARGED:
                for write in writes:
                    units = write_units(write.size_before, write.size_given)
                    self._add("write_unit", "failed writes", who, units * (1 + transactional))
            raise
        kind = "transactional writes" if transactional else "writes"
        for write in writes:
            after = write.look()
            sizes = [None if each is None else item_bytes(each) for each in (write.before, after)]
            units = write_units(*sizes, transactional=transactional)
            self._add("write_unit", kind, who, units)
            self._add("write_unit", "index writes", who, write.index_units(after))
            self._store(who, write, after)
        return answer

    def _store(self, who: str, write: "_Write", after: Attributes | None) -> None:
        """Counts how long an item will be stored; what it replaces is not stored any longer."""
        now, key = self._now(), write.key
        if former := self._stored.pop(key, None):
            self._count_storage(key, former, min(0.0, now - former.until))
        if after is None:
            return
        expires = after.get(write.expiry, {}).get("N")
        indexed = sum(ITEM + item_bytes(entry) for entry in write.entries(after))
        until = max(now, float(expires)) if expires else now + KEPT_S
        stored = _Stored(who, item_bytes(after) + ITEM, indexed, until, bool(expires))
        self._stored[key] = stored
        self._count_storage(key, stored, until - now)

    def _count_storage(self, key: _Key, stored: "_Stored", seconds: float) -> None:
        months = seconds / MONTH_S
        kind = "until items expire" if stored.expires else "items that stay, for a year"
        gb = (stored.size + stored.indexed) / GB
        self._add("table_gb_month", kind, stored.who, gb * months)
        if key[0] in self._recoverable:
            recovery = stored.size / GB * months
            self._add("recovery_gb_month", kind, stored.who, recovery)

    def _count_reads(
        self, who: str, operation: str, given: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> None:
        consistent = bool(given.get("ConsistentRead"))
        if operation == "GetItem":
            units = self._read(given["TableName"], given["Key"], consistent=consistent)
        elif operation == "BatchGetItem":
            units = sum(
                self._read(table, key, consistent=bool(wanted.get("ConsistentRead")))
                for table, wanted in given["RequestItems"].items()
                for key in wanted["Keys"]
            )
        elif operation == "TransactGetItems":
            units = sum(
                self._read(each["Get"]["TableName"], each["Get"]["Key"], transactional=True)
                for each in given["TransactItems"]
            )
        elif operation in ("Query", "Scan"):
            units = read_units(self._evaluated(given, answer), consistent=consistent)
        else:
            self._add(f"DynamoDB's {operation}", operation, who, 1)
            return
        self._add("read_unit", "reads", who, units)

    def _read(self, table: str, key: Attributes, **how: bool) -> float:
        found = _item(self._backend.get_table(table), key)
        return read_units(item_bytes(found) if found else 0, **how)

    def _evaluated(self, given: Mapping[str, Any], answer: Mapping[str, Any]) -> int:
        """Returns the bytes that a query or scan has looked at; a filter does not make it less."""
        items = answer.get("Items", [])
        table = self._backend.get_table(given["TableName"])
        size = 0
        for item in items:
            whole = None
            if not given.get("IndexName") and _keys(table).keys() <= item.keys():
                whole = _item(table, item)
            size += item_bytes(whole or item)
        filtered = answer.get("ScannedCount", len(items)) / len(items) if items else 1
        return round(size * filtered)


class _Stored:
    __slots__ = ("expires", "indexed", "size", "until", "who")

    def __init__(self, who: str, size: int, indexed: int, until: float, expires: bool) -> None:
        self.who, self.size, self.indexed = who, size, indexed
        self.until, self.expires = until, expires


class _Write:
    """One item that a call writes, with what is there before."""

    def __init__(
        self, backend: Any, table: str, named: Attributes, given: Attributes | None
    ) -> None:
        self._table = backend.get_table(table)
        self._named = named
        self.key: _Key = (self._table.name, *(str(named[name]) for name in _keys(self._table)))
        self.expiry = str((self._table.ttl or {}).get("AttributeName", ""))
        self.before = self.look()
        self.size_before = None if self.before is None else item_bytes(self.before)
        self.size_given = item_bytes(given) if given else None
        self._entries = list(self._in_indexes(self.before))

    def look(self) -> Attributes | None:
        """Returns the item as it is now."""
        return _item(self._table, self._named)

    def index_units(self, after: Attributes | None) -> int:
        """Returns the units that the change costs in all indexes."""
        return sum(
            index_units(old, new, keys)
            for (keys, old), (_, new) in zip(self._entries, self._in_indexes(after), strict=True)
        )

    def entries(self, item: Attributes) -> Iterator[Attributes]:
        """Yields what indexes have of an item."""
        return (entry for _, entry in self._in_indexes(item) if entry is not None)

    def _in_indexes(self, item: Attributes | None) -> Iterator[tuple[list[str], Attributes | None]]:
        for index in (*self._table.global_indexes, *self._table.indexes):
            keys = [each["AttributeName"] for each in index.schema]
            if item is None or not all(key in item for key in keys):
                yield keys, None
                continue
            projection = index.projection
            kind = projection.get("ProjectionType", "ALL")
            kept = {*keys, *_keys(self._table), *projection.get("NonKeyAttributes", ())}
            yield keys, {n: v for n, v in item.items() if kind == "ALL" or n in kept}


def _transaction(given: Mapping[str, Any]) -> Iterator[tuple[str, Attributes, Attributes | None]]:
    for each in given["TransactItems"]:
        ((_, write),) = each.items()
        yield write["TableName"], write.get("Item") or write["Key"], write.get("Item")


def _batch(given: Mapping[str, Any]) -> Iterator[tuple[str, Attributes, Attributes | None]]:
    for table, requests in given["RequestItems"].items():
        for each in requests:
            ((_, write),) = each.items()
            yield table, write.get("Item") or write["Key"], write.get("Item")


_WRITES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "BatchWriteItem": _batch,
    "DeleteItem": lambda given: [(given["TableName"], given["Key"], None)],
    "PutItem": lambda given: [(given["TableName"], given["Item"], given["Item"])],
    "TransactWriteItems": _transaction,
    "UpdateItem": lambda given: [(given["TableName"], given["Key"], None)],
}
"""How many items a call writes: tables, keys, and the items if they are given as a whole."""


def _keys(table: Any) -> dict[str, None]:
    names = (table.hash_key_attr, table.range_key_attr)
    return {name: None for name in names if name is not None}


def _item(table: Any, named: Attributes) -> Attributes | None:
    values = [DynamoType(dict(named[name])) for name in _keys(table)]
    found = table.get_item(*values)
    return None if found is None else found.to_json()["Attributes"]


def recovery_of(properties: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns a table's settings of point-in-time recovery, or None if it has none."""
    for each in (properties, *(properties.get("Replicas") or ())):
        stated: dict[str, Any] = each.get("PointInTimeRecoverySpecification") or {}
        if stated.get("PointInTimeRecoveryEnabled"):
            return stated
    return None
