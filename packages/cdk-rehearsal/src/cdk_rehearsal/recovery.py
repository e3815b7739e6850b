"""Point-in-time recovery of DynamoDB: what tables held at each second."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.exceptions import PointInTimeRecoveryUnavailable
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from cdk_rehearsal.metered_tables import recovery_of
from cdk_rehearsal.moto_patches.entries import Entry
from cdk_rehearsal.rehearsal import Rehearsal
from cdk_rehearsal.sandbox.patching import Patches

DELAY_S = 300
"""How old the latest state is that can be restored.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PointInTimeRecoveryDescription.html"""

_Change = tuple[float, DynamoType, DynamoType | None, Item | None]
"""When an item changed, its key, and what it was before; None if it was not there."""


class TableRecovery:
    """Makes ``RestoreTableToPointInTime`` restore what a table held, instead of what it holds.

    To be created within the rehearsal. Each table whose template enables point-in-time recovery can
    be restored to any second from then on, except for the last five minutes. The new table has the
    keys and indexes of its source, but no stream, time to live, policy or protection.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/pointintimerecovery_restores.html

    It costs memory for each write, so other rehearsals do without it.
    """

    def __init__(self, rehearsal: Rehearsal) -> None:
        core = rehearsal._core
        self._now = core.scheduler.now
        self._backend: Any = dynamodb_backends[core.account][core.region]
        self._changes: defaultdict[str, list[_Change]] = defaultdict(list)
        self._patch(rehearsal._hooks.patches)
        for resource in rehearsal.resources:
            if stated := recovery_of(resource.properties):
                self._backend.update_continuous_backups(resource.physical_id, stated)

    def _patch(self, patches: Patches) -> None:
        put, delete = Table.put_item, Table.delete_item
        update, describe = DynamoDBBackend.update_item, DynamoDBBackend.describe_continuous_backups
        restore: Any = DynamoHandler.restore_table_to_point_in_time

        def put_item(table: Table, item_attrs: dict[str, Any], *rest: Any, **options: Any) -> Item:
            entry = Entry(table, *self._backend.get_keys_value(table, item_attrs))
            item = put(table, item_attrs, *rest, **options)
            self._keep(entry)
            return item

        def delete_item(table: Table, *key: Any) -> Item | None:
            entry = Entry(table, *key)
            item = delete(table, *key)
            self._keep(entry)
            return item

        def update_item(
            backend: DynamoDBBackend, name: str, key: dict[str, Any], *rest: Any, **options: Any
        ) -> Item:
            table = backend.get_table(name)
            entry = Entry(table, *backend.get_keys_value(table, key))
            item = update(backend, name, key, *rest, **options)
            self._keep(entry)
            return item

        def describe_continuous_backups(backend: DynamoDBBackend, name: str) -> dict[str, Any]:
            found = describe(backend, name)
            stated = found["PointInTimeRecoveryDescription"]
            if earliest := stated.get("EarliestRestorableDateTime"):
                stated["LatestRestorableDateTime"] = max(earliest, self._now() - DELAY_S)
            return found

        def restore_table_to_point_in_time(handler: DynamoHandler) -> Any:
            at = self._moment(handler.body)
            answer = restore(handler)
            self._undo(handler.body["SourceTableName"], handler.body["TargetTableName"], at)
            return answer

        patches.set(Table, "put_item", put_item)
        patches.set(Table, "delete_item", delete_item)
        patches.set(DynamoDBBackend, "update_item", update_item)
        patches.set(DynamoDBBackend, "describe_continuous_backups", describe_continuous_backups)
        patches.set(DynamoHandler, "restore_table_to_point_in_time", restore_table_to_point_in_time)

    def _keep(self, entry: Entry) -> None:
        change = (self._now(), entry.hash_key, entry.range_key, entry.item)
        self._changes[entry.table.name].append(change)

    def _moment(self, asked: dict[str, Any]) -> float:
        """Returns the time to restore, in epoch seconds. Raises the errors of DynamoDB."""
        name = asked["SourceTableName"]
        stated = self._backend.describe_continuous_backups(name)["PointInTimeRecoveryDescription"]
        if stated["PointInTimeRecoveryStatus"] != "ENABLED":
            raise PointInTimeRecoveryUnavailable(name)
        earliest = stated["EarliestRestorableDateTime"]
        latest = stated["LatestRestorableDateTime"]
        if asked.get("UseLatestRestorableTime"):
            return float(latest)
        stated_time = asked.get("RestoreDateTime")
        at = stated_time.replace(tzinfo=UTC).timestamp() if stated_time else -1.0
        if not earliest <= at <= latest:
            span = " and ".join(
                f"{datetime.fromtimestamp(each, UTC):%FT%TZ}" for each in (earliest, latest)
            )
            raise JsonRESTError(
                "com.amazonaws.dynamodb.v20120810#InvalidRestoreTimeException",
                f"RestoreDateTime must be between {span}",
            )
        return at

    def _undo(self, source: str, target: str, at: float) -> None:
        """Undoes in the new table what happened to its source after a moment."""
        table = self._backend.get_table(target)
        for moment, hash_key, range_key, item in reversed(self._changes[source]):
            if moment <= at:
                break
            entry = Entry(table, hash_key, range_key)
            entry.item = item
            entry.restore()
