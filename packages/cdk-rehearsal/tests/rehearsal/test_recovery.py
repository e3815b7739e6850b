"""A table is restored to what it held at an earlier second."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_rehearsal import Rehearsal, TableRecovery
from rehearsal.cloud import Cloud
from rehearsal.conftest import Rehearse

Items = dict[str, str]


@pytest.fixture
def shop(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    """A table with point-in-time recovery and time to live, and one without."""
    for name, enabled in (("Kept", True), ("Other", False)):
        template.add(
            name,
            "AWS::DynamoDB::GlobalTable",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            Replicas=[
                {
                    "Region": {"Ref": "AWS::Region"},
                    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": enabled},
                }
            ],
            StreamSpecification={"StreamViewType": "NEW_IMAGE"},
            TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": True},
        )
    return rehearse()


@pytest.fixture
def tables(shop: Rehearsal) -> Any:
    TableRecovery(shop)
    return shop.client("dynamodb")


def write(tables: Any, shop: Rehearsal, **items: str) -> None:
    for key, value in items.items():
        item = {"pk": {"S": key}, "value": {"S": value}}
        tables.put_item(TableName=shop.physical_id("Shop/Kept"), Item=item)


def change(tables: Any, shop: Rehearsal, key: str, expression: str, **values: Any) -> None:
    tables.update_item(
        TableName=shop.physical_id("Shop/Kept"),
        Key={"pk": {"S": key}},
        UpdateExpression=expression,
        ExpressionAttributeNames={"#value": "value"},
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


def restored(tables: Any, shop: Rehearsal, at: float, source: str = "Shop/Kept") -> Items:
    tables.restore_table_to_point_in_time(
        SourceTableName=shop.physical_id(source),
        TargetTableName="restored",
        RestoreDateTime=datetime.fromtimestamp(at, UTC),
    )
    found = tables.scan(TableName="restored")["Items"]
    return {item["pk"]["S"]: item["value"]["S"] for item in found}


def test_each_kind_of_write_after_the_moment_is_undone(tables: Any, shop: Rehearsal) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/pointintimerecovery_restores.html."""
    write(tables, shop, put="1", updated="1", uncommon="1", deleted="1", both="1", kept="1")
    shop.run_for(1)
    moment = time.time()
    shop.run_for(1)
    name = shop.physical_id("Shop/Kept")
    write(tables, shop, put="2", new="2")
    change(tables, shop, "updated", "SET #value = :v", v={"S": "2"})
    # moto evaluates such an expression itself.
    more = "SET #value = :v, parts = list_append(:l, :l)"
    change(tables, shop, "uncommon", more, v={"S": "2"}, l={"L": []})
    tables.delete_item(TableName=name, Key={"pk": {"S": "deleted"}})
    tables.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": name, "Item": {"pk": {"S": "both"}, "value": {"S": "2"}}}},
            {"Delete": {"TableName": name, "Key": {"pk": {"S": "put"}}}},
        ]
    )
    now = {"new", "updated", "uncommon", "both", "kept"}
    assert {item["pk"]["S"] for item in tables.scan(TableName=name)["Items"]} == now
    shop.run_for(600)
    before = dict.fromkeys(("put", "updated", "uncommon", "deleted", "both", "kept"), "1")
    assert restored(tables, shop, moment) == before
    # The source is left alone.
    assert {item["pk"]["S"] for item in tables.scan(TableName=name)["Items"]} == now


def test_a_cancelled_transaction_changes_nothing(tables: Any, shop: Rehearsal) -> None:
    write(tables, shop, a="1")
    shop.run_for(1)
    moment = time.time()
    shop.run_for(1)
    name = shop.physical_id("Shop/Kept")
    missing = {"pk": {"S": "missing"}}
    with pytest.raises(ClientError, match="TransactionCanceled"):
        tables.transact_write_items(
            TransactItems=[
                {"Delete": {"TableName": name, "Key": {"pk": {"S": "a"}}}},
                {
                    "ConditionCheck": {
                        "TableName": name,
                        "Key": missing,
                        "ConditionExpression": "attribute_exists(pk)",
                    }
                },
            ]
        )
    shop.run_for(600)
    assert restored(tables, shop, moment) == {"a": "1"}


def test_expired_items_come_back(tables: Any, shop: Rehearsal) -> None:
    """Time to live is off in the new table."""
    moment = time.time() + 60
    item = {"pk": {"S": "a"}, "value": {"S": "1"}, "expires_at": {"N": str(int(moment) + 60)}}
    tables.put_item(TableName=shop.physical_id("Shop/Kept"), Item=item)
    shop.run_for(86_400)
    assert tables.scan(TableName=shop.physical_id("Shop/Kept"))["Count"] == 0
    assert restored(tables, shop, moment) == {"a": "1"}


def test_the_new_table_has_no_stream_and_no_time_to_live(tables: Any, shop: Rehearsal) -> None:
    shop.run_for(600)
    restored(tables, shop, time.time() - 300)
    described = tables.describe_table(TableName="restored")["Table"]
    assert "StreamSpecification" not in described
    assert not described["DeletionProtectionEnabled"]
    live = tables.describe_time_to_live(TableName="restored")["TimeToLiveDescription"]
    assert live["TimeToLiveStatus"] == "DISABLED"


@pytest.mark.parametrize("ago_s", [100_000, 299])
def test_other_times_than_those_described_are_refused(
    tables: Any, shop: Rehearsal, ago_s: float
) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PointInTimeRecoveryDescription.html."""
    begun = time.time()
    shop.run_for(600)
    name = shop.physical_id("Shop/Kept")
    backups = tables.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    stated = backups["PointInTimeRecoveryDescription"]
    span = [stated[f"{end}RestorableDateTime"].timestamp() for end in ("Earliest", "Latest")]
    assert span == pytest.approx([begun, time.time() - 300])
    with pytest.raises(ClientError, match="InvalidRestoreTimeException"):
        restored(tables, shop, time.time() - ago_s)


def test_a_table_without_recovery_is_not_restored(tables: Any, shop: Rehearsal) -> None:
    shop.run_for(600)
    with pytest.raises(ClientError, match="PointInTimeRecoveryUnavailable"):
        restored(tables, shop, time.time() - 300, source="Shop/Other")
