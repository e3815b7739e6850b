"""Versions and aliases of functions, with weights, policies and settings of their own."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, check
from cdk_rehearsal.latency import NONE
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import World

TELL = """
def handler(event, context):
    return [context.function_version, context.invoked_function_arn.rsplit(":", 1)[1]]
"""


def versions(template: Cloud, code: str = TELL, **properties: Any) -> None:
    template.function("Tell", code, **properties)
    template.add("One", "AWS::Lambda::Version", FunctionName=ref("Tell"))
    template.add(
        "Live",
        "AWS::Lambda::Alias",
        Name="live",
        FunctionName=ref("Tell"),
        FunctionVersion=arn("One", "Version"),
    )


def shift(shop: World | Rehearsal, weight: float) -> None:
    """Publishes a second version, and gives it a share of the alias's invocations."""
    client, name = shop.client("lambda"), shop.physical_id("Shop/Tell")
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"RELEASE": "2"}}
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert client.publish_version(FunctionName=name)["Version"] == "2"
    routing = {"AdditionalVersionWeights": {"2": weight}}
    client.update_alias(FunctionName=name, Name="live", RoutingConfig=routing)


@pytest.mark.parametrize(
    ("name", "told"),
    [("", ["$LATEST", None]), (":live", ["1", "live"]), (":1", ["1", "1"])],
)
def test_a_handler_knows_its_version_and_how_it_was_called(
    template: Cloud, aws: Deploy, name: str, told: list[str | None]
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""
    versions(template)
    shop = aws()
    function = shop.physical_id("Shop/Tell")
    answer = shop.client("lambda").invoke(FunctionName=f"{function}{name}")
    version, qualifier = told
    assert json.load(answer["Payload"]) == [version, qualifier or function]


def test_an_alias_is_invoked_with_a_qualifier_and_by_its_arn(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
    versions(template)
    shop = aws()
    for options in (
        {"FunctionName": shop.physical_id("Shop/Tell"), "Qualifier": "live"},
        {"FunctionName": shop.physical_id("Shop/Live")},
    ):
        answer = shop.client("lambda").invoke(**options)
        assert json.load(answer["Payload"]) == ["1", "live"]


def test_an_alias_sends_a_share_to_its_other_version(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html"""
    versions(template)
    shop = aws()
    shift(shop, 0.25)
    name = shop.physical_id("Shop/Tell")
    counted = Counter(
        json.loads(shop.client("lambda").invoke(FunctionName=f"{name}:live")["Payload"].read())[0]
        for _ in range(200)
    )
    assert set(counted) == {"1", "2"}
    assert 30 <= counted["2"] <= 70


def send(shop: Rehearsal, source: str) -> None:
    """Sends 120 messages or records, one for each batch."""
    for number in range(120):
        name = shop.physical_id(f"Shop/{source}")
        if source == "Queue":
            shop.client("sqs").send_message(QueueUrl=name, MessageBody=str(number))
        elif source == "Table":
            shop.client("dynamodb").put_item(TableName=name, Item={"pk": {"S": str(number)}})
        else:
            shop.client("kinesis").put_record(StreamName=name, Data=b"x", PartitionKey=str(number))


@pytest.mark.parametrize("source", ["Queue", "Stream", "Table"])
def test_the_weight_of_an_alias_decides_for_each_batch_and_the_seed_repeats_it(
    template: Cloud, source: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html"""
    versions(template)
    template.queue("Queue")
    template.table("Table")
    template.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
    start = {} if source == "Queue" else {"StartingPosition": "TRIM_HORIZON"}
    attribute = "StreamArn" if source == "Table" else "Arn"
    template.mapping("Mapping", arn(source, attribute), "Live", BatchSize=1, **start)
    directory = template.write()
    runs = []
    for seed in (1, 1, 2):
        with Rehearsal(directory, latency=NONE, seed=seed) as shop:
            shift(shop, 0.3)
            send(shop, source)
            shop.run_until_idle()
            invocations = [r for r in shop.meter.records if r.kind == "invocation"]
            runs.append([invocation.detail["version"] for invocation in invocations])
    counted = Counter(runs[0])
    assert set(counted) == {"1", "2"}
    assert sum(counted.values()) == 120
    assert 20 <= counted["2"] <= 52
    assert runs[0] == runs[1] != runs[2]


def test_each_version_has_environments_of_its_own(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html"""
    code = """
    import os

    count = 0

    def handler(event, context):
        global count
        count += 1
        return [os.environ["AWS_LAMBDA_FUNCTION_VERSION"], count]
    """
    versions(template, code)
    shop = aws()
    name = shop.physical_id("Shop/Tell")

    def told(qualifier: str) -> Any:
        answer = shop.client("lambda").invoke(FunctionName=f"{name}{qualifier}")
        return json.load(answer["Payload"])

    assert [told(each) for each in ("", ":live", ":1", "")] == [
        ["$LATEST", 1],
        ["1", 1],
        ["1", 2],
        ["$LATEST", 2],
    ]


def test_a_version_keeps_its_variables_and_an_alias_moves(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html
    """
    code = """
    import os

    def handler(event, context):
        return [context.function_version, os.environ.get("RELEASE")]
    """
    versions(template, code)
    shop = aws()
    client, name = shop.client("lambda"), shop.physical_id("Shop/Tell")

    def told(qualifier: str) -> Any:
        return json.load(client.invoke(FunctionName=f"{name}{qualifier}")["Payload"])

    shift(shop, 0.0)
    assert [told(each) for each in ("", ":live", ":2")] == [
        ["$LATEST", "2"],
        ["1", None],
        ["2", "2"],
    ]
    client.update_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": {}},
    )
    assert told(":live") == ["2", "2"]


def test_an_alias_of_a_version_that_does_not_exist_is_a_problem(template: Cloud) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html"""
    versions(template)
    template.resources["Live"]["Properties"]["FunctionVersion"] = "7"
    (problem,) = check(template.write())
    assert problem.problem == "the function has no version 7: name one of this template"


def test_a_role_needs_permission_for_the_qualifier_that_it_invokes(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html"""
    versions(template)
    template.role(
        "Calls", {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": ref("Live")}
    )
    code = """
    import boto3

    def handler(event, context):
        try:
            boto3.client("lambda").invoke(FunctionName=event)
        except Exception as error:
            return type(error).__name__
    """
    template.function("Call", code, Role=arn("Calls"))
    shop = aws()
    name = shop.physical_id("Shop/Tell")

    def told(called: str) -> Any:
        answer = shop.client("lambda").invoke(
            FunctionName=shop.physical_id("Shop/Call"), Payload=json.dumps(called)
        )
        return json.load(answer["Payload"])

    assert [told(each) for each in (f"{name}:live", shop.physical_id("Shop/Live"))] == [None, None]
    assert [told(each) for each in (name, f"{name}:1")] == ["ClientError", "ClientError"]


def test_a_queue_feeds_an_alias(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html"""
    versions(template)
    template.queue("Queue")
    template.add(
        "Mapping",
        "AWS::Lambda::EventSourceMapping",
        EventSourceArn=arn("Queue"),
        FunctionName=ref("Live"),
    )
    shop = rehearse()
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Queue"), MessageBody="x")
    shop.run_until_idle()
    (invocation,) = [r for r in shop.meter.records if r.kind == "invocation"]
    assert (invocation.source, invocation.target) == ("Shop/Queue", "Shop/Tell")


@pytest.mark.parametrize(("permitted", "outcome"), [("Live", "delivered"), ("Tell", "failed")])
def test_a_permission_is_for_one_qualifier(
    template: Cloud, rehearse: Rehearse, permitted: str, outcome: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html"""
    versions(template)
    template.add("Topic", "AWS::SNS::Topic")
    template.add(
        "Send",
        "AWS::SNS::Subscription",
        TopicArn=ref("Topic"),
        Protocol="lambda",
        Endpoint=ref("Live"),
    )
    template.permission(
        "Permit",
        ref(permitted),
        "sns.amazonaws.com",
    )
    shop = rehearse()
    shop.client("sns").publish(TopicArn=shop.physical_id("Shop/Topic"), Message="x")
    shop.run_until_idle()
    (delivery,) = [r for r in shop.meter.records if r.kind == "delivery"]
    assert delivery.detail["outcome"] == outcome


@pytest.mark.parametrize(("fails", "outcome"), [(False, "Success"), (True, "Failure")])
def test_a_destination_can_be_a_bus(
    template: Cloud, aws: Deploy, fails: bool, outcome: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    versions(template, "def handler(event, context): return 1 / event")
    template.bus("Bus")
    template.queue("Heard")
    template.rule("Rule", {"source": ["lambda"]}, {"Arn": arn("Heard")})
    template.add(
        "Config",
        "AWS::Lambda::EventInvokeConfig",
        FunctionName=ref("Tell"),
        Qualifier="live",
        MaximumRetryAttempts=0,
        DestinationConfig={
            "OnSuccess": {"Destination": arn("Bus")},
            "OnFailure": {"Destination": arn("Bus")},
        },
    )
    template.resources["Config"]["DependsOn"] = ["Live"]
    shop = aws()
    name = f"{shop.physical_id('Shop/Tell')}:live"
    shop.client("lambda").invoke(
        FunctionName=name, InvocationType="Event", Payload="0" if fails else "1"
    )
    shop.run_until_idle()
    (message,) = shop.messages("Shop/Heard")
    event = json.loads(message["body"])
    assert event["detail-type"] == f"Lambda Function Invocation Result - {outcome}"
    assert event["detail"]["requestContext"]["functionArn"].endswith(f":function:{name}")
    assert event["detail"]["responseContext"]["executedVersion"] == "1"


def test_a_destination_of_an_unknown_kind_is_an_error(template: Cloud) -> None:
    versions(template)
    template.add(
        "Config",
        "AWS::Lambda::EventInvokeConfig",
        FunctionName=ref("Tell"),
        Qualifier="$LATEST",
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::bucket"}},
    )
    (problem,) = check(template.write())
    assert "does not support the destination arn:aws:s3:::bucket" in problem.problem
