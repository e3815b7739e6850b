"""Pending items: a sparse index of items that wait, to find the oldest.

An item is in the index as long as it has both attributes. They are set and removed in the same
transactions as the item's state, so finding overdue items needs no scan.
"""

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any
from zlib import crc32

from lambdas.eventing import aws, declaration
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.eventing.declaration import BATCH_GET, Use
from lambdas.eventing.settings import TableSettings
from lambdas.eventing.transaction import Key, read_all

INDEX = "Pending"
SHARD = "pending_shard"
SINCE = "pending_since"

QUERY_INDEX = Use("Query", INDEX)
FIND = (QUERY_INDEX, BATCH_GET)
"""How `batches` uses the table."""

_PAGE = 1_000
"""Entries of the index that a search for all of them reads at once."""

SHARDS = 4
"""Partitions over which the index spreads new items: each takes 1,000 writes a second.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html"""

REMOVED = f"REMOVE {SHARD}, {SINCE}"
"""The part of an update expression that removes an item from the index."""


def waiting(aggregate_id: str, since: datetime) -> Item:
    """Returns the attributes that put an item into the index; `since` is an aware UTC time."""
    shard = crc32(aggregate_id.encode()) % SHARDS
    return {SHARD: f"PENDING#{shard}", SINCE: _sortable(since)}


def oldest(settings: TableSettings, *, limit: int, before: datetime | None = None) -> list[Item]:
    """Returns up to `limit` (at most 100) items that wait, oldest first. See `batches`."""
    return next(batches(settings, before=before, size=limit, page=limit), [])


def batches(
    settings: TableSettings, *, before: datetime | None = None, size: int, page: int = _PAGE
) -> Iterator[list[Item]]:
    """Yields all items that wait since `before` a time, oldest first, `size` (at most 100) at once.

    `page` is how many entries of the index are read with one call for each shard.
    The index lags behind its table. So the items are read from the table, and those that no longer
    wait are left out. Each batch is read when it is asked for. Raises Contention if the table stays
    throttled.
    """
    shards = (_shard(settings, number, before, page) for number in range(SHARDS))
    keys = merge(*shards, key=lambda entry: str(entry[SINCE]))
    while entries := list(islice(keys, size)):
        wanted: list[Key] = [(entry["pk"], entry["sk"]) for entry in entries]
        items = read_all(settings, wanted)
        yield [items[key] for key in wanted if SHARD in items.get(key, {})]


def _shard(
    settings: TableSettings, number: int, before: datetime | None, page: int
) -> Iterator[Item]:
    """Yields the entries of a shard, oldest first, and reads them page by page."""
    condition = f"{SHARD} = :shard"
    values = {":shard": f"PENDING#{number}"}
    if before:
        condition += f" AND {SINCE} < :before"
        values[":before"] = _sortable(before)
    start: dict[str, Any] | None = {}
    while start is not None:
        declaration.check(QUERY_INDEX)
        found = aws.dynamodb().query(
            TableName=settings.table_name,
            IndexName=INDEX,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=to_attributes(values),
            Limit=page,
            **start,
        )
        yield from map(from_attributes, found["Items"])
        last = found.get("LastEvaluatedKey")
        start = {"ExclusiveStartKey": last} if last else None


def _sortable(moment: datetime) -> str:
    """Returns a time as text of fixed length, which sorts by time."""
    return moment.isoformat(timespec="microseconds")
