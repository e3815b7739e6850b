"""Defects of DynamoDB in moto 5.2.5.

**A write that changes nothing leaves a stream record.** DynamoDB writes none:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html

    for _ in range(2):
        dynamodb.put_item(TableName="t", Item={"pk": {"S": "a"}})
    # The stream of the table has INSERT and MODIFY instead of INSERT.

**An update that creates an item leaves two stream records**, the first of them for an item with
nothing but its key. DynamoDB writes one (same page).

    dynamodb.update_item(TableName="t", Key=key, UpdateExpression="SET n = :n", ...)
    # The stream of the table has two INSERT instead of one.

**A failed update leaves its first half behind**, or an item with nothing but its key. UpdateItem
is atomic: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html

    dynamodb.update_item(
        TableName="t", Key=key, UpdateExpression="SET n = :n ADD m :text",
        ExpressionAttributeValues={":n": {"N": "1"}, ":text": {"S": "x"}},
    )  # ValidationException, as in DynamoDB, but get_item(...) returns n = 1.
"""

from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import StreamShard

from cdk_rehearsal.moto_patches.entries import Entry
from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Makes updates atomic, and leaves one stream record for each change."""
    patches.set(StreamShard, "add", _record_changes(StreamShard.add))
    patches.set(DynamoDBBackend, "update_item", _update_item(DynamoDBBackend.update_item))


def _record_changes(original: Any) -> Any:
    def add(shard: StreamShard, old: Item | None, new: Item | None) -> None:
        if old is None or new is None or old.attrs != new.attrs:
            original(shard, old, new)

    return add


def _update_item(original: Any) -> Any:
    def update_item(
        backend: DynamoDBBackend,
        table_name: str,
        key: dict[str, Any],
        *arguments: Any,
        **options: Any,
    ) -> Item:
        table = backend.get_table(table_name)
        entry = Entry(table, *backend.get_keys_value(table, key))
        records = table.stream_shard.items if table.stream_shard is not None else []
        before = len(records)
        if entry.item is not None:
            # moto changes the item itself.
            entry.put(entry.item.__deepcopy__({}))
        try:
            result: Item = original(backend, table_name, key, *arguments, **options)
        except BaseException:
            entry.restore()
            del records[before:]
            raise
        if entry.item is None and len(records) - before > 1:
            first, *_, last = records[before:]
            last.record["dynamodb"]["SequenceNumber"] = first.record["dynamodb"]["SequenceNumber"]
            del records[before:]
            records.append(last)
        return result

    return update_item
