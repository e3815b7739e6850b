"""What the command refuses, and what it replaces. tests/flows/test_restore.py restores tables."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cdk_rehearsal import Rehearsal, TableRecovery
from tests.support.forks import in_a_fork
from tools.restore import cli

ORDERS = ["orders", "Orders"]


@pytest.fixture(scope="module")
def shop(assembly: Path) -> Iterator[Rehearsal]:
    with Rehearsal(assembly, seed=1) as rehearsal:
        TableRecovery(rehearsal)
        rehearsal.run_for(600)
        yield rehearsal


@pytest.fixture(autouse=True)
def account(shop: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command works in the rehearsal's account."""
    monkeypatch.setattr(cli, "client", shop.client)


def restore(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["--stage", "dev", *arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["orders", "Order"], "can be restored to each second from 2026-01-05T08:00:00 to "),
        (["orders", "Stock"], "0 tables of orderflow-dev-orders begin with 'Stock': choose one of"),
        (["backbone", "Vault"], "follow docs/how-to/restore-the-vault.md"),
        ([*ORDERS, "--copy"], "-restored: begin with the option --at"),
        ([*ORDERS, "--copy", "--done"], "one at a time"),
        ([*ORDERS, "--replace", "ORDER#1"], "one at a time"),
        ([*ORDERS, "--at", "2026-01-05T07:00:00"], "RestoreDateTime must be between"),
        ([*ORDERS, "--done"], "ResourceNotFound"),
        (["sales", "Sales"], "orderflow-dev-sales"),
    ],
)
def test_what_cannot_be_done_is_told(shop: Rehearsal, arguments: list[str], told: str) -> None:
    code, printed = in_a_fork(lambda: restore(*arguments))
    assert told in printed.replace("\n", " ")
    assert (code == 0) is ("can be restored" in printed)


def test_damaged_items_are_replaced_and_expired_ones_left_out(shop: Rehearsal) -> None:
    def scenario() -> tuple[str, Mapping[str, str]]:
        tables, name = shop.client("dynamodb"), shop.physical_id("Orders/Orders/Table")

        def put(key: str, value: str, *, expires_in_s: float = 1e6) -> None:
            expires = {"N": str(int(shop.clock.now() + expires_in_s))}
            item = {"pk": {"S": key}, "sk": {"S": "-"}, "value": {"S": value}}
            tables.put_item(TableName=name, Item={**item, "expires_at": expires})

        for key in ("damaged", "changed", "deleted"):
            put(key, "before")
        put("expired", "before", expires_in_s=60)
        shop.run_for(2)
        at = datetime.fromtimestamp(shop.clock.now(), UTC)
        shop.run_for(2)
        put("damaged", "wrong")
        put("changed", "afterwards")
        for key in ("deleted", "expired"):
            tables.delete_item(TableName=name, Key={"pk": {"S": key}, "sk": {"S": "-"}})
        shop.run_for(400)
        restore(*ORDERS, "--at", f"{at:%FT%T}")
        unknown = restore(*ORDERS, "--copy", "--replace", "unknown")[1]
        assert "has no items of unknown" in unknown
        code, printed = restore(*ORDERS, "--copy", "--replace", "damaged")
        assert code == 0
        found = tables.scan(TableName=name)["Items"]
        return printed, {item["pk"]["S"]: item["value"]["S"] for item in found if "value" in item}

    printed, found = in_a_fork(scenario)
    assert found == {"damaged": "before", "changed": "afterwards", "deleted": "before"}
    # The first attempt has copied what was missing.
    assert "0 items were missing and have been copied, 1 replaced" in printed
    assert "1 had expired" in printed
