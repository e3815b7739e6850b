"""The position of an item in one of moto's tables."""

from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from cdk_rehearsal.moto_patches import indexes


class Entry:
    """The position of an item in a table, and its original item."""

    def __init__(self, table: Table, hash_key: DynamoType, range_key: DynamoType | None) -> None:
        self.table = table
        self.hash_key = hash_key
        self.range_key = range_key
        self.item: Item | None = table.get_item(hash_key, range_key)

    def put(self, item: Item) -> None:
        """Stores an item at this position."""
        mapping, key = self._place()
        mapping[key] = item

    def restore(self) -> None:
        """Restores the original item."""
        mapping, key = self._place()
        if self.item is None:
            mapping.pop(key, None)
        else:
            mapping[key] = self.item

    def _place(self) -> tuple[dict[DynamoType, Any], DynamoType]:
        indexes.note(self.table, self.hash_key, self.range_key)
        items: Any = self.table.items
        if self.range_key is None:
            return items, self.hash_key
        return items[self.hash_key], self.range_key
