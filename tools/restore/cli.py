"""The command line of `make restore`: docs/how-to/restore-a-table.md."""

import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from tools.deployed import resources_of

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

client: Any = boto3.client
"""Returns a client of a service of AWS."""

_KEY, _EXPIRES = "pk", "expires_at"


class Refused(Exception):
    """What was asked for is not possible at the moment."""


@app.command()
def restore(
    context: Annotated[str, typer.Argument(help="The context of the table.")],
    table: Annotated[str, typer.Argument(help="Its name in the stack, such as Orders.")],
    stage: Annotated[str, typer.Option(help="The stage.")] = "prod",
    at: Annotated[
        datetime | None, typer.Option(help="Begin: the second of the loss, in UTC.")
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy what is missing from the restored table.")
    ] = False,
    replace: Annotated[
        list[str] | None,
        typer.Option(metavar="PK", help="With --copy: replace the items of this partition, too."),
    ] = None,
    done: Annotated[bool, typer.Option("--done", help="Delete the restored table.")] = False,
) -> None:
    """Restores a table beside the one in use, and copies back what is missing there.

    Give --at, then --copy, then --done. Without any of them, the command lists the times that can
    be restored.
    """
    try:
        if sum((at is not None, copy, done)) > 1 or (replace and not copy):
            raise Refused("give --at, --copy (with --replace if need be) or --done, one at a time")
        found = _Restore.find(stage, context, table)
        if at is not None:
            typer.echo(found.begin(at.replace(tzinfo=UTC)))
        elif copy:
            typer.echo(found.copy(replace or ()))
        elif done:
            typer.echo(found.finish())
        else:
            typer.echo(found.times())
    except (Refused, BotoCoreError, ClientError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@dataclass(frozen=True)
class _Restore:
    """A table in use, and its restored copy beside it."""

    table: str
    api: Any

    @property
    def copy_name(self) -> str:
        return f"{self.table}-restored"

    @classmethod
    def find(cls, stage: str, context: str, name: str) -> "_Restore":
        """Finds a table by its names. Raises Refused if there is none, or if it is the vault."""
        if context.lower() == "backbone":
            raise Refused(
                "the vault has personal data, some of which were deleted for good: follow "
                "docs/how-to/restore-the-vault.md"
            )
        stack = f"orderflow-{stage}-{context.lower()}"
        tables = resources_of(client("cloudformation"), stack, "AWS::DynamoDB::GlobalTable")
        found = [physical for logical, physical in tables.items() if logical.startswith(name)]
        if len(found) != 1:
            raise Refused(
                f"{len(found)} tables of {stack} begin with {name!r}: choose one of "
                f"{', '.join(tables)}"
            )
        return cls(found[0], client("dynamodb"))

    def times(self) -> str:
        """Tells which times can be restored."""
        backups = self.api.describe_continuous_backups(TableName=self.table)
        stated = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        if stated["PointInTimeRecoveryStatus"] != "ENABLED":
            raise Refused(f"{self.table} has no point-in-time recovery")
        first, last = (
            stated[f"{end}RestorableDateTime"].astimezone(UTC) for end in ("Earliest", "Latest")
        )
        return f"{self.table} can be restored to each second from {first:%FT%T} to {last:%FT%T}."

    def begin(self, at: datetime) -> str:
        """Begins to restore the table beside the one in use."""
        self.api.restore_table_to_point_in_time(
            SourceTableName=self.table, TargetTableName=self.copy_name, RestoreDateTime=at
        )
        return (
            f"{self.table} is being restored as {self.copy_name}, which takes minutes to hours.\n"
            "Then give the option --copy."
        )

    def copy(self, replaced: Collection[str]) -> str:
        """Copies items that are missing or to be replaced, unless they have expired."""
        state = self._state()
        if state != "ACTIVE":
            raise Refused(f"{self.copy_name} is {state}: try again when it is ACTIVE")
        counts = Counter(self._put(item, replaced) for item in self._restored())
        if unknown := sorted(set(replaced) - {part for part, _ in counts}):
            raise Refused(f"{self.copy_name} has no items of {', '.join(unknown)}")
        total = Counter[str]()
        for (_, what), number in counts.items():
            total[what] += number
        return (
            f"{total['copied']} items were missing and have been copied, {total['replaced']} "
            f"replaced, {total['there']} left as they are, {total['expired']} had expired.\n"
            "Compare, and then give the option --done."
        )

    def finish(self) -> str:
        """Deletes the restored table."""
        self.api.delete_table(TableName=self.copy_name)
        return f"{self.copy_name} is being deleted."

    def _state(self) -> str:
        try:
            described = self.api.describe_table(TableName=self.copy_name)
        except self.api.exceptions.ResourceNotFoundException:
            raise Refused(f"there is no {self.copy_name}: begin with the option --at") from None
        return str(described["Table"]["TableStatus"])

    def _restored(self) -> Iterator[dict[str, Any]]:
        for page in self.api.get_paginator("scan").paginate(TableName=self.copy_name):
            yield from page["Items"]

    def _put(self, item: dict[str, Any], replaced: Collection[str]) -> tuple[str, str]:
        """Puts an item if need be; returns its partition key and what became of it."""
        key = item[_KEY]["S"]
        if float(item.get(_EXPIRES, {}).get("N", "inf")) <= time.time():
            return key, "expired"
        if key in replaced:
            self.api.put_item(TableName=self.table, Item=item)
            return key, "replaced"
        try:
            self.api.put_item(
                TableName=self.table, Item=item, ConditionExpression=f"attribute_not_exists({_KEY})"
            )
        except self.api.exceptions.ConditionalCheckFailedException:
            return key, "there"
        return key, "copied"


def main() -> None:
    """Entry point of `python -m tools.restore`."""
    app(prog_name="python -m tools.restore")
