"""Conversion between DynamoDB's attribute values and plain Python values."""

from collections.abc import Mapping
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

Item = dict[str, Any]


class _IntegerDeserializer(TypeDeserializer):
    """Reads numbers as `int`: all stored numbers are integers (money is in minor units)."""

    def _deserialize_n(self, value: str) -> int:
        return int(value)


_serialize = TypeSerializer().serialize
_deserialize = _IntegerDeserializer().deserialize


def to_attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    """Converts plain values to attribute values."""
    return {name: _serialize(value) for name, value in item.items()}


def from_attributes(attributes: Mapping[str, Any]) -> Item:
    """Converts attribute values to plain values."""
    return {name: _deserialize(value) for name, value in attributes.items()}
