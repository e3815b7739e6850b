"""Versions and aliases of functions, with weights, policies and settings of their own."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from cdk_rehearsal import check
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse

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


def test_an_alias_sends_a_share_to_its_other_version(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html"""
    versions(template)
    template.resources["Live"]["Properties"]["RoutingConfig"] = {
        "AdditionalVersionWeights": [{"FunctionVersion": "2", "FunctionWeight": 0.25}]
    }
    shop = rehearse()
    name = shop.physical_id("Shop/Tell")
    counted = Counter(
        json.loads(shop.client("lambda").invoke(FunctionName=f"{name}:live")["Payload"].read())[0]
        for _ in range(200)
    )
    assert set(counted) == {"1", "2"}
    assert 30 <= counted["2"] <= 70


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
