"""DynamoDB's attribute values to plain Python and back."""

from collections.abc import Mapping
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

Item = dict[str, Any]


class _IntegerDeserializer(TypeDeserializer):
    """Numbers as `int`: every number stored here is one (money is in minor units)."""

    def _deserialize_n(self, value: str) -> int:
        return int(value)


_serialize = TypeSerializer().serialize
_deserialize = _IntegerDeserializer().deserialize


def to_attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values to attribute values."""
    return {name: _serialize(value) for name, value in item.items()}


def from_attributes(attributes: Mapping[str, Any]) -> Item:
    """Attribute values to plain values."""
    return {name: _deserialize(value) for name, value in attributes.items()}
