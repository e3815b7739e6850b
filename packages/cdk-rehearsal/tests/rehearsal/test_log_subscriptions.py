"""CloudWatch Logs: subscription filters send log events to functions and data streams."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Rehearsal
from cdk_rehearsal.errors import UnsupportedTemplateError
from cdk_rehearsal.faults import Fault, TargetGone
from cdk_rehearsal.topology import DurabilityRule, edges, losses
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

TALKER = """
    def handler(event, context):
        for line in event: print(line)
"""
LISTENER = """
    import base64, gzip, json, os
    import boto3
    def handler(event, context):
        if os.environ.get("FAILS"): raise ValueError("no")
        message = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
        boto3.client("sqs").send_message(
            QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(message))
"""


def talking(template: Cloud, pattern: str = "", **properties: Any) -> Cloud:
    """Adds a function whose lines go to a listener, which sends them to a queue."""
    template.add("Log", "AWS::Logs::LogGroup")
    template.function("Talker", TALKER, LoggingConfig={"LogGroup": ref("Log")})
    template.add("Heard", "AWS::SQS::Queue")
    template.function("Listener", LISTENER, Environment={"Variables": {"QUEUE": ref("Heard")}})
    template.permission(
        "Permission",
        arn("Listener"),
        "logs.amazonaws.com",
        SourceArn=arn("Log"),
    )
    template.add(
        "Filter",
        "AWS::Logs::SubscriptionFilter",
        **{
            "LogGroupName": ref("Log"),
            "FilterPattern": pattern,
            "DestinationArn": arn("Listener"),
            **properties,
        },
    )
    return template


def streaming(template: Cloud, *statements: dict[str, Any]) -> Cloud:
    """Lets the lines go to a data stream instead."""
    template.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
    template.role("Deliverer", *statements)
    trust = template.resources["Deliverer"]["Properties"]["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"]["Service"] = "logs.amazonaws.com"
    return talking(template, DestinationArn=arn("Stream"), RoleArn=arn("Deliverer"))


def heard(shop: Rehearsal) -> list[dict[str, Any]]:
    shop.run_until_idle()
    sqs, url = shop.client("sqs"), shop.physical_id("Shop/Heard")
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def lines(messages: list[dict[str, Any]]) -> list[str]:
    return [event["message"] for message in messages for event in message["logEvents"]]


def test_a_function_gets_log_events_as_compressed_json(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-cloudwatchlogs.html"""
    talking(template)
    shop = rehearse()
    shop.invoke("Shop/Talker", ["one", "two"])
    (message,) = heard(shop)
    events = message.pop("logEvents")
    (stream,) = shop.client("logs").describe_log_streams(logGroupName=shop.physical_id("Shop/Log"))[
        "logStreams"
    ]
    assert message == {
        "messageType": "DATA_MESSAGE",
        "owner": shop.account,
        "logGroup": shop.physical_id("Shop/Log"),
        "logStream": stream["logStreamName"],
        "subscriptionFilters": [shop.physical_id("Shop/Filter")],
    }
    assert [event["message"] for event in events] == ["one", "two"]
    assert all({"id", "timestamp", "message"} == event.keys() for event in events)


def test_each_event_is_delivered_once_and_only_if_it_matches(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html"""
    talking(template, "ERROR")
    shop = rehearse()
    shop.invoke("Shop/Talker", ["fine"])
    assert heard(shop) == []
    shop.invoke("Shop/Talker", ["ERROR 1", "fine"])
    assert lines(heard(shop)) == ["ERROR 1"]
    shop.invoke("Shop/Talker", ["ERROR 2"])
    assert lines(heard(shop)) == ["ERROR 2"]


def test_events_of_a_client_are_delivered_too(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""
    talking(template)
    shop = rehearse()
    logs, group = shop.client("logs"), shop.physical_id("Shop/Log")
    logs.create_log_stream(logGroupName=group, logStreamName="mine")
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=group,
        logStreamName="mine",
        logEvents=[{"timestamp": now, "message": "hello"}],
    )
    (message,) = heard(shop)
    assert (message["logStream"], lines([message])) == ("mine", ["hello"])


def test_events_before_the_filter_are_not_delivered(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutSubscriptionFilter.html"""
    talking(template)
    del template.resources["Filter"]
    shop = rehearse()
    shop.invoke("Shop/Talker", ["before"])
    logs, group = shop.client("logs"), shop.physical_id("Shop/Log")
    logs.put_subscription_filter(
        logGroupName=group,
        filterName="late",
        filterPattern="",
        destinationArn=shop.resource("Shop/Listener").attributes["Arn"],
    )
    shop.invoke("Shop/Talker", ["after"])
    assert lines(heard(shop)) == ["after"]
    logs.delete_subscription_filter(logGroupName=group, filterName="late")
    shop.invoke("Shop/Talker", ["too late"])
    assert heard(shop) == []


def test_a_data_stream_gets_records_with_the_log_stream_as_their_key(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/subscription-concepts.html"""
    streaming(template)
    shop = rehearse()
    shop.invoke("Shop/Talker", ["one"])
    shop.run_until_idle()
    kinesis, name = shop.client("kinesis"), shop.physical_id("Shop/Stream")
    shard = kinesis.describe_stream(StreamName=name)["StreamDescription"]["Shards"][0]
    iterator = kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    (record,) = kinesis.get_records(ShardIterator=iterator)["Records"]
    message = json.loads(gzip.decompress(record["Data"]))
    assert lines([message]) == ["one"]
    assert record["PartitionKey"] == message["logStream"]


def test_a_filter_without_permission_for_its_function_is_refused(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutSubscriptionFilter.html"""
    talking(template)
    template.resources["Permission"]["Properties"]["Principal"] = "events.amazonaws.com"
    with pytest.raises(UnsupportedTemplateError, match="Could not execute the lambda function"):
        rehearse()


def test_a_filter_whose_role_may_not_put_records_is_refused(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutSubscriptionFilter.html"""
    streaming(template, {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"})
    with pytest.raises(UnsupportedTemplateError, match="Could not deliver test message"):
        rehearse()


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"DestinationArn": "arn:aws:firehose:x:1:deliverystream/d"}, "destinations such as"),
        ({"FilterPattern": "{ $.x ="}, "Invalid filter pattern"),
        ({"Distribution": "Random"}, "Distribution = 'Random'"),
    ],
)
def test_a_filter_that_the_rehearsal_does_not_know_is_refused(
    template: Cloud, rehearse: Rehearse, properties: dict[str, Any], message: str
) -> None:
    talking(template, **properties)
    with pytest.raises(UnsupportedTemplateError, match=message):
        rehearse()


def test_a_failed_delivery_is_retried_and_dropped_after_a_day(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions.html"""
    talking(template)
    shop = rehearse()
    shop.faults.fail("Shop/Listener", when="delivery", times=2)
    shop.invoke("Shop/Talker", ["one"])
    assert lines(heard(shop)) == ["one"]
    outcomes = [each.detail["outcome"] for each in shop.meter.of("delivery", source="Shop/Log")]
    assert outcomes == ["failed", "failed", "delivered"]
    shop.faults.fail("Shop/Listener", when="delivery", times=None)
    shop.invoke("Shop/Talker", ["two"])
    shop.run_for(25 * 3600)
    shop.faults.clear()
    assert heard(shop) == []
    assert len(shop.meter.of("discarded", source="Shop/Log")) == 1


def test_a_refused_delivery_disables_the_filter_for_ten_minutes(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions.html"""
    talking(template)
    shop = rehearse()
    shop.faults.plan(Fault("gone", "is gone", "delivery", TargetGone("gone"), 1))
    for line in ("refused", "skipped"):
        shop.invoke("Shop/Talker", [line])
        assert heard(shop) == []
    assert len(shop.meter.of("discarded", source="Shop/Log")) == 1
    shop.run_for(600)
    shop.invoke("Shop/Talker", ["delivered"])
    assert lines(heard(shop)) == ["delivered"]


def test_a_subscription_is_an_edge_whose_events_stay_in_the_log_group(template: Cloud) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions.html"""
    talking(template)
    found = Assembly(template.write())
    (edge,) = (each for each in edges(found) if each.kind == "logs")
    assert (edge.source, edge.target, edge.parking) == ("Shop/Log", "Shop/Listener", "Shop/Log")
    assert ("invoke", "Shop/Listener") in {(each.kind, each.target) for each in edges(found)}
    template.resources["Log"]["Properties"]["RetentionInDays"] = 1
    lacking = {each.rule for each in losses(Assembly(template.write())) if each.kind == "logs"}
    assert lacking == {DurabilityRule.DeadLetterQueue, DurabilityRule.AlarmWithAction}
