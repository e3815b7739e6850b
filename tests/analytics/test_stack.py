"""The analytics stack: what it counts reaches the stream, failures reach a dead-letter queue."""

from collections.abc import Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from tests.stacks.hops import Route, is_custom, route_at


@pytest.fixture(params=["dev", "prod"])
def shop(request: pytest.FixtureRequest, templates: Mapping[str, Assembly]) -> Assembly:
    """The templates of a stage."""
    return templates[request.param]


def statements(shop: Assembly, type_: str, holder: Resource) -> list[dict[str, Any]]:
    """The statements in the policies of a role or a queue."""
    names = {"AWS::IAM::Policy": "Roles", "AWS::SQS::QueuePolicy": "Queues"}
    return [
        statement
        for policy in shop.of_type(type_)
        for reference in policy.properties[names[type_]]
        if shop.referred(policy.stack, reference) == holder
        for statement in policy.properties["PolicyDocument"]["Statement"]
    ]


def role_on(shop: Assembly, route: Route) -> Resource:
    """The role with which the bus delivers on a route."""
    return shop.referred(route.resource.stack, route.properties["RoleArn"])


def test_sales_and_returns_go_to_the_stream_with_their_id_as_partition_key(
    shop: Assembly,
) -> None:
    route = route_at(shop, "Analytics/Activity")
    # An event that is published in several versions is counted in its newest version, and synthetic
    # orders are not counted.
    assert route.pattern == {
        "source": ["orderflow.orders", "orderflow.returns"],
        "detail-type": ["OrderConfirmed.v1", "OrderConfirmed.v2", "OrderReturned.v1"],
        "detail": {
            "supersededby": [{"exists": False}, {"anything-but": ["OrderConfirmed.v2"]}],
            "synthetic": [{"exists": False}],
        },
    }
    assert shop.referred(route.resource.stack, route.target) == shop.at("Analytics/Activity")
    assert route.properties["KinesisParameters"] == (
        {"PartitionKey": "{% $events.Data.detail.id %}"}
        if is_custom(shop)
        else {"PartitionKeyPath": "$.detail.id"}
    )
    assert not {"Input", "InputPath", "InputTransformer"} & set(route.properties)
    assert "Transformer" not in route.resource.properties


def test_the_bus_may_put_records_on_the_stream_and_nothing_else(shop: Assembly) -> None:
    """Nor does a subscriber's role more than to park what it could not deliver."""
    route = route_at(shop, "Analytics/Activity")
    role = role_on(shop, route)
    granted = [
        *statements(shop, "AWS::IAM::Policy", role),
        *(
            statement
            for inline in role.properties.get("Policies", ())
            for statement in inline["PolicyDocument"]["Statement"]
        ),
    ]
    found = {each["Action"]: shop.referred(role.stack, each["Resource"]).path for each in granted}
    stream = "Analytics/Activity"
    assert found == (
        {"kinesis:PutRecords": stream, "sqs:SendMessage": f"{stream}/Subscriber/Undelivered"}
        if is_custom(shop)
        else {"kinesis:PutRecord": stream}
    )


def test_only_the_rule_may_send_to_the_dead_letter_queue(classic: Assembly) -> None:
    """A subscriber sends as its role, which no queue has to admit."""
    route = route_at(classic, "Analytics/Activity")
    rule, shop = route.resource, classic
    queue = shop.referred(rule.stack, route.properties["DeadLetterConfig"]["Arn"])
    found = statements(shop, "AWS::SQS::QueuePolicy", queue)
    (admitted,) = [statement for statement in found if statement["Effect"] == "Allow"]
    assert admitted["Principal"] == {"Service": "events.amazonaws.com"}
    (arn,) = admitted["Condition"]["ArnEquals"].values()
    assert shop.referred(rule.stack, arn) == rule


def test_the_activity_endpoint_may_only_put_records_on_the_stream(shop: Assembly) -> None:
    found = statements(shop, "AWS::IAM::Policy", shop.at("Analytics/RecordActivityRole"))
    (statement,) = [entry for entry in found if "kinesis" in str(entry["Action"])]
    assert statement["Action"] == "kinesis:PutRecords"


def test_the_stream_is_read_in_windows_and_failed_records_outlive_the_retries(
    shop: Assembly,
) -> None:
    stream = shop.at("Analytics/Activity")
    (mapping,) = [
        mapping.properties
        for mapping in shop.of_type("AWS::Lambda::EventSourceMapping")
        if shop.referred(mapping.stack, mapping.properties["EventSourceArn"]) == stream
    ]
    assert mapping["TumblingWindowInSeconds"] == 60
    assert mapping["MaximumBatchingWindowInSeconds"] < mapping["TumblingWindowInSeconds"]
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    # Batches of a shard run one after the other, each with the state of the previous one.
    assert mapping["ParallelizationFactor"] == 1
    # A record that is given up can still be read and put again.
    age_h = mapping["MaximumRecordAgeInSeconds"] / 3_600
    assert stream.properties["RetentionPeriodHours"] - age_h >= 5 * 24


def test_the_stream_is_encrypted(shop: Assembly) -> None:
    encryption = shop.at("Analytics/Activity").properties["StreamEncryption"]
    assert encryption["EncryptionType"] == "KMS"
