"""The analytics stack: every event reaches the stream, and failures reach a dead-letter queue."""

from collections.abc import Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource


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


def rule_target(shop: Assembly) -> tuple[Resource, dict[str, Any]]:
    """The rule that feeds the stream, and its target."""
    rule = shop.at("Analytics/Activity/Rule")
    (target,) = rule.properties["Targets"]
    return rule, target


def test_all_events_of_the_shop_go_to_the_stream_with_their_id_as_partition_key(
    shop: Assembly,
) -> None:
    rule, target = rule_target(shop)
    # An event that is published in several versions is counted in its newest version.
    assert rule.properties["EventPattern"] == {
        "source": [{"prefix": "orderflow."}],
        "detail": {"supersededby": [{"exists": False}]},
    }
    assert shop.referred(rule.stack, target["Arn"]) == shop.at("Analytics/Activity")
    assert target["KinesisParameters"] == {"PartitionKeyPath": "$.detail.id"}
    assert not {"Input", "InputPath", "InputTransformer"} & set(target)


def test_the_bus_may_put_records_on_the_stream_and_nothing_else(shop: Assembly) -> None:
    rule, target = rule_target(shop)
    role = shop.referred(rule.stack, target["RoleArn"])
    (statement,) = statements(shop, "AWS::IAM::Policy", role)
    assert statement["Action"] == "kinesis:PutRecord"
    assert shop.referred(rule.stack, statement["Resource"]) == shop.at("Analytics/Activity")


def test_only_the_rule_may_send_to_the_dead_letter_queue(shop: Assembly) -> None:
    rule, target = rule_target(shop)
    queue = shop.referred(rule.stack, target["DeadLetterConfig"]["Arn"])
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
