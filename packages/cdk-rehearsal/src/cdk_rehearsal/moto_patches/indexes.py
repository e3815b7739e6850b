"""Indexes of moto's tables: the items that have a value of an attribute.

moto searches the whole table for each query of a secondary index.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

_Position = tuple[DynamoType, DynamoType | None]
_Value = tuple[str, str | bytes]
_NAME = "_rehearsal_indexes"


class _Index:
    """The positions of items by the value of one attribute, as of the last query."""

    def __init__(self, table: Table) -> None:
        self.items = table.items
        self.changed: dict[_Position, None] = dict.fromkeys(_positions(table))
        self._positions: defaultdict[_Value, dict[_Position, None]] = defaultdict(dict)
        self._values: dict[_Position, _Value] = {}

    def find(self, table: Table, attribute: str, value: DynamoType) -> Iterator[Item]:
        """Yields the items that have a value of the attribute."""
        for position in self.changed:
            self._read(table, attribute, position)
        self.changed.clear()
        for position in self._positions.get((value.type, value.value), ()):
            item = table.get_item(*position)
            if item is not None:
                yield item

    def _read(self, table: Table, attribute: str, position: _Position) -> None:
        before = self._values.pop(position, None)
        if before is not None:
            del self._positions[before][position]
        item = table.get_item(*position)
        value = None if item is None else item.attrs.get(attribute)
        # Attributes of other types cannot be keys of an index.
        if value is not None and isinstance(value.value, str | bytes):
            key = self._values[position] = (value.type, value.value)
            self._positions[key][position] = None


def find(table: Table, attribute: str, value: DynamoType) -> Iterator[Item]:
    """Yields the items of a table that have a value of an attribute, in any order.

    Takes as long as there are such items and changes since the last search.
    """
    indexes: dict[str, _Index] = vars(table).setdefault(_NAME, {})
    index = indexes.get(attribute)
    # A table that is restored from a backup gets other items.
    if index is None or index.items is not table.items:
        index = indexes[attribute] = _Index(table)
    yield from index.find(table, attribute, value)


def note(table: Table, hash_key: DynamoType, range_key: DynamoType | None) -> None:
    """Notes that the item at a position has changed, or is about to."""
    for index in vars(table).get(_NAME, {}).values():
        index.changed[hash_key, range_key] = None


def _positions(table: Table) -> Iterator[_Position]:
    stored: Any
    for stored in table.items.values():
        for item in stored.values() if table.range_key_attr else (stored,):
            yield item.hash_key, item.range_key
