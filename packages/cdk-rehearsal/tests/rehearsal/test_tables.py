"""Tables of a template: their secondary indexes, and items that expire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Deploy
from rehearsal.worlds import World

Item = dict[str, Any]


@pytest.fixture
def shop(template: Cloud, aws: Deploy) -> World:
    """Orders, those of which that are open are indexed by their customer and number."""
    template.add(
        "Orders",
        "AWS::DynamoDB::GlobalTable",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "open_for", "AttributeType": "S"},
            {"AttributeName": "number", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open",
                "KeySchema": [
                    {"AttributeName": "open_for", "KeyType": "HASH"},
                    {"AttributeName": "number", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["amount"]},
            }
        ],
        Replicas=[
            {
                "Region": {"Ref": "AWS::Region"},
                "GlobalSecondaryIndexes": [{"IndexName": "open"}],
            }
        ],
        StreamSpecification={"StreamViewType": "NEW_AND_OLD_IMAGES"},
        TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": True},
    )
    template.function("Relay", "import json\ndef handler(event, context): print(json.dumps(event))")
    template.mapping(
        "Mapping", arn("Orders", "StreamArn"), "Relay", StartingPosition="TRIM_HORIZON"
    )
    return aws()


def order(number: int, customer: str = "c-1", **more: Any) -> Item:
    return {
        "pk": {"S": f"o-{number}"},
        "open_for": {"S": customer},
        "number": {"N": str(number)},
        "amount": {"N": "100"},
        "secret": {"S": "hidden"},
        **more,
    }


def put(shop: World, *items: Item) -> None:
    for item in items:
        shop.client("dynamodb").put_item(TableName=table(shop), Item=item)


def transact(shop: World, *operations: dict[str, Any]) -> None:
    """Write in one transaction; each operation is one of Put, Update and Delete."""
    items = [
        {kind: {"TableName": table(shop), **operation} for kind, operation in one.items()}
        for one in operations
    ]
    shop.client("dynamodb").transact_write_items(TransactItems=items)


def table(shop: World) -> str:
    return shop.physical_id("Shop/Orders")


def query(shop: World, customer: str = "c-1", **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = shop.client("dynamodb").query(
        TableName=table(shop),
        IndexName="open",
        KeyConditionExpression="open_for = :c",
        ExpressionAttributeValues={":c": {"S": customer}},
        **options,
    )
    return answer


def keys(answer: dict[str, Any]) -> list[str]:
    return [item["pk"]["S"] for item in answer["Items"]]


def test_an_index_has_the_items_with_its_key_in_the_order_of_its_sort_key(shop: World) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-indexes-general-sparse-indexes.html"""
    closed = order(3)
    del closed["open_for"]
    put(shop, order(10), order(9), closed, order(2, customer="c-2"))
    assert keys(query(shop)) == ["o-9", "o-10"]
    assert keys(query(shop, ScanIndexForward=False)) == ["o-10", "o-9"]
    assert keys(query(shop, "c-2")) == ["o-2"]


def test_an_index_gives_the_attributes_that_are_projected_into_it(shop: World) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.Projections"""
    put(shop, order(1))
    (item,) = query(shop)["Items"]
    assert item.keys() == {"pk", "open_for", "number", "amount"}


def test_a_query_of_an_index_is_answered_page_by_page(shop: World) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html"""
    put(shop, *(order(number) for number in range(1, 8)))
    found: list[str] = []
    page = query(shop, Limit=3)
    while True:
        assert len(page["Items"]) <= 3
        found += keys(page)
        if "LastEvaluatedKey" not in page:
            break
        assert page["LastEvaluatedKey"].keys() == {"pk", "open_for", "number"}
        page = query(shop, Limit=3, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert found == [f"o-{number}" for number in range(1, 8)]


def test_a_page_goes_on_after_its_last_item_though_that_has_left_the_index(
    shop: World,
) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html"""
    put(shop, *(order(number) for number in range(1, 5)))
    page = query(shop, Limit=2)
    close = {"Key": {"pk": {"S": "o-2"}}, "UpdateExpression": "REMOVE open_for"}
    transact(shop, {"Update": close})
    assert keys(query(shop, ExclusiveStartKey=page["LastEvaluatedKey"])) == ["o-3", "o-4"]


def test_an_item_enters_and_leaves_an_index_in_transactions(shop: World) -> None:
    """With its key attributes, set and removed by an update, a put or a delete.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
    """
    key = {"pk": {"S": "o-1"}}
    reopen = {
        "Key": key,
        "UpdateExpression": "SET open_for = :c, #n = :n, amount = if_not_exists(amount, :n)",
        "ExpressionAttributeNames": {"#n": "number"},
        "ExpressionAttributeValues": {":c": {"S": "c-1"}, ":n": {"N": "1"}},
    }
    close = {"Key": key, "UpdateExpression": "REMOVE open_for SET amount = amount"}
    transact(shop, {"Put": {"Item": order(1)}})
    assert keys(query(shop)) == ["o-1"]
    transact(shop, {"Update": close})
    assert keys(query(shop)) == []
    transact(shop, {"Update": reopen}, {"Put": {"Item": order(2)}})
    assert keys(query(shop)) == ["o-1", "o-2"]
    transact(shop, {"Put": {"Item": key}}, {"Delete": {"Key": {"pk": {"S": "o-2"}}}})
    assert keys(query(shop)) == []
    transact(shop, {"Delete": {"Key": key}})
    transact(shop, {"Update": reopen})
    assert keys(query(shop)) == ["o-1"]


def test_a_cancelled_transaction_leaves_an_index_as_it_was(shop: World) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html"""
    put(shop, order(1))
    close = {"Key": {"pk": {"S": "o-1"}}, "UpdateExpression": "REMOVE open_for"}
    never = {"Item": order(2), "ConditionExpression": "attribute_exists(pk)"}
    with pytest.raises(shop.client("dynamodb").exceptions.TransactionCanceledException):
        transact(shop, {"Update": close}, {"Put": never})
    assert keys(query(shop)) == ["o-1"]


def test_what_an_index_does_not_allow_is_refused(shop: World) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.Reading"""
    errors = shop.client("dynamodb").exceptions
    with pytest.raises(errors.ClientError, match="Consistent reads are not supported"):
        query(shop, ConsistentRead=True)
    number = {
        "Key": {"pk": {"S": "o-1"}},
        "UpdateExpression": "SET open_for = :c",
        "ExpressionAttributeValues": {":c": {"N": "1"}},
    }
    with pytest.raises(errors.ClientError, match="Type mismatch for key open_for"):
        transact(shop, {"Update": number})


# -- time to live -------------------------------------------------------------------------


def stream(shop: World) -> list[dict[str, Any]]:
    shop.run_until_idle()
    return [
        record
        for line in shop.logs("Shop/Relay").splitlines()
        for record in json.loads(line)["Records"]
    ]


def test_an_expired_item_is_removed_in_the_name_of_dynamodb(shop: World) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html"""
    assert isinstance(shop, Rehearsal)
    soon = {"N": str(int(shop.clock.now()) + 3600)}
    put(shop, order(1, expires_at=soon), order(2))
    shop.run_until_idle()
    shop.run_for(3599)
    assert keys(query(shop)) == ["o-1", "o-2"]
    shop.run_for(6 * 3600)
    assert keys(query(shop)) == ["o-2"]
    *_, removal = stream(shop)
    assert removal["eventName"] == "REMOVE"
    assert removal["userIdentity"] == {
        "type": "Service",
        "principalId": "dynamodb.amazonaws.com",
    }
    assert removal["dynamodb"]["OldImage"]["pk"] == {"S": "o-1"}


def test_a_removal_by_an_application_is_nobodys(shop: World) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html"""
    put(shop, order(1))
    transact(shop, {"Delete": {"Key": {"pk": {"S": "o-1"}}}})
    *_, removal = stream(shop)
    assert removal["eventName"] == "REMOVE"
    assert "userIdentity" not in removal


@pytest.mark.parametrize("value", [{"S": "1767600000"}, {"N": "1"}, {"NULL": True}])
def test_what_is_no_time_of_the_last_years_does_not_expire(
    shop: World, value: dict[str, Any]
) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html"""
    assert isinstance(shop, Rehearsal)
    put(shop, order(1, expires_at=value))
    shop.run_for(86_400)
    assert keys(query(shop)) == ["o-1"]
