"""Pending items: a sparse index of those that wait, from which the oldest are found.

An item is in the index as long as it has both attributes. They are set and removed in the same
transactions as the item's state, so nothing has to be scanned to find what was forgotten.
"""

from datetime import datetime
from heapq import merge
from itertools import islice
from zlib import crc32

from lambdas.eventing import aws
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.eventing.settings import TableSettings
from lambdas.eventing.transaction import Key, read_all

INDEX = "Pending"
SHARD = "pending_shard"
SINCE = "pending_since"

SHARDS = 4
"""Partitions of the index that new items are spread over: each takes 1,000 writes a second.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"""

REMOVED = f"REMOVE {SHARD}, {SINCE}"
"""The part of an update expression by which an item leaves the index, if it is in it."""


def waiting(aggregate_id: str, since: datetime) -> Item:
    """The attributes by which an item enters the index; `since` is an aware UTC time."""
    shard = crc32(aggregate_id.encode()) % SHARDS
    return {SHARD: f"PENDING#{shard}", SINCE: _sortable(since)}


def oldest(settings: TableSettings, *, limit: int, before: datetime | None = None) -> list[Item]:
    """Up to `limit` (at most 100) items that wait, and did so `before` a time; the oldest first.

    The index lags behind its table, so the items are read from the table: those that wait no longer
    are left out. Raises Contention if the table stays throttled.
    """
    shards = (_shard(settings, number, limit, before) for number in range(SHARDS))
    entries = islice(merge(*shards, key=lambda entry: str(entry[SINCE])), limit)
    keys: list[Key] = [(entry["pk"], entry["sk"]) for entry in entries]
    items = read_all(settings, keys) if keys else {}
    return [items[key] for key in keys if SHARD in items.get(key, {})]


def _shard(settings: TableSettings, number: int, limit: int, before: datetime | None) -> list[Item]:
    condition = f"{SHARD} = :shard"
    values = {":shard": f"PENDING#{number}"}
    if before:
        condition += f" AND {SINCE} < :before"
        values[":before"] = _sortable(before)
    found = aws.dynamodb().query(
        TableName=settings.table_name,
        IndexName=INDEX,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=to_attributes(values),
        Limit=limit,
    )
    return [from_attributes(attributes) for attributes in found["Items"]]


def _sortable(moment: datetime) -> str:
    """Times of one length: their order as text is that in time."""
    return moment.isoformat(timespec="microseconds")
