"""DynamoDB's time to live: expired items are deleted, and the stream says by whom."""

from collections.abc import Iterable
from typing import Any

from moto.dynamodb.models import dynamodb_backends

from cdk_rehearsal.core import Core

# DynamoDB typically deletes expired items within two days; nothing sooner is promised:
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html
_INTERVAL_S = 21_600.0
# It deletes nothing that expired more than five years ago:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html
_OLDEST_S = 5 * 365 * 86_400
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
_BY_DYNAMODB = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


class Expiry:
    """Sweeps one table every six hours, which is no work for ``run_until_idle``."""

    def __init__(self, core: Core, table: str, attribute: str) -> None:
        """``attribute`` is the one with the time, in seconds since the epoch."""
        self._core = core
        self._name = table
        self._attribute = attribute
        self._plan()

    def _plan(self) -> None:
        self._core.scheduler.call_later(_INTERVAL_S, self._sweep, daemon=True)

    def _sweep(self) -> None:
        backend = dynamodb_backends[self._core.account][self._core.region]
        table = backend.tables.get(self._name)
        if table is None:
            return
        items = [item for stored in table.items.values() for item in _items(table, stored)]
        for item in items:
            if not self._is_expired(item):
                continue
            table.delete_item(item.hash_key, item.range_key)
            if table.stream_shard is not None:
                table.stream_shard.items[-1].record["userIdentity"] = _BY_DYNAMODB
        self._plan()

    def _is_expired(self, item: Any) -> bool:
        value = item.attrs.get(self._attribute)
        if value is None or value.type != "N":
            return False
        now = self._core.scheduler.now()
        return bool(now - _OLDEST_S < float(value.value) <= now)


def _items(table: Any, stored: Any) -> Iterable[Any]:
    """The items under one partition key, as moto keeps them."""
    return stored.values() if table.range_key_attr else (stored,)
