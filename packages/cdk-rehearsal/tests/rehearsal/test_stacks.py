"""CloudFormation: what operators ask about the stacks of the assembly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_rehearsal import Rehearsal
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse


@pytest.fixture
def shop(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    for number in range(60):
        template.queue(f"Queue{number}")
    template.template["Conditions"] = {"Never": {"Fn::Equals": ["a", "b"]}}
    template.template["Outputs"] = {
        "Url": {"Value": ref("Queue0"), "Description": "where to send"},
        "Arn": {"Value": arn("Queue0")},
        "None": {"Value": ref("Queue0"), "Condition": "Never"},
    }
    return rehearse()


def test_resources_are_listed_in_pages_with_their_physical_names(shop: Rehearsal) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackResources.html"""
    pages = shop.client("cloudformation").get_paginator("list_stack_resources")
    found = [
        summary
        for page in pages.paginate(StackName="Shop")
        for summary in page["StackResourceSummaries"]
    ]
    assert len(found) == 120
    queues = {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for each in found
        if each["ResourceType"] == "AWS::SQS::Queue"
    }
    assert queues == {f"Queue{n}": shop.physical_id(f"Shop/Queue{n}") for n in range(60)}


def test_a_stack_is_described_with_its_outputs(shop: Rehearsal) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html"""
    cloudformation = shop.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName="Shop")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    queue = shop.resource("Shop/Queue0", "AWS::SQS::Queue")
    assert outputs == {"Url": queue.physical_id, "Arn": queue.attributes["Arn"]}
    assert stack["Outputs"][0]["Description"] == "where to send"
    assert cloudformation.describe_stacks()["Stacks"] == [stack]
    assert cloudformation.describe_stacks(StackName=stack["StackId"])["Stacks"] == [stack]


def test_one_resource_is_described(shop: Rehearsal) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResource.html"""
    cloudformation = shop.client("cloudformation")
    one: Any = {"StackName": "Shop", "LogicalResourceId": "Queue1"}
    detail = cloudformation.describe_stack_resource(**one)["StackResourceDetail"]
    (resource,) = cloudformation.describe_stack_resources(**one)["StackResources"]
    for found in (detail, resource):
        assert found["PhysicalResourceId"] == shop.physical_id("Shop/Queue1")


def test_a_stack_that_a_client_creates_is_shown_beside(shop: Rehearsal) -> None:
    cloudformation = shop.client("cloudformation")
    body = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Mine": {"Value": "yes"}},
    }
    for name in ("Other", "Shop"):
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(body))
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        assert [each["OutputKey"] for each in stack["Outputs"]] == ["Mine"]
        (resource,) = cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]
        assert resource["LogicalResourceId"] == "Topic"
    stacks = cloudformation.describe_stacks()["Stacks"]
    assert sorted(each["StackName"] for each in stacks) == ["Other", "Shop"]


def test_what_does_not_exist_is_an_error(shop: Rehearsal) -> None:
    cloudformation = shop.client("cloudformation")
    for call, parameters in (
        (cloudformation.list_stack_resources, {"StackName": "Missing"}),
        (cloudformation.describe_stacks, {"StackName": "Missing"}),
        (
            cloudformation.describe_stack_resource,
            {"StackName": "Shop", "LogicalResourceId": "Missing"},
        ),
    ):
        with pytest.raises(ClientError, match="Missing does not exist"):
            call(**parameters)


@pytest.mark.parametrize(("stack", "permitted"), [("Shop", True), ("Shop2", False)])
def test_a_call_that_names_a_stack_is_authorized_for_its_arn(
    template: Cloud, rehearse: Rehearse, stack: str, permitted: bool
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/control-access-with-iam.html"""
    template.queue("Queue")
    named = f"arn:aws:cloudformation:*:*:stack/{stack}/*"
    statement = {"Effect": "Allow", "Action": "cloudformation:*", "Resource": named}
    template.role("Reader", statement)
    shop = rehearse()
    role = str(shop.resource("Shop/Reader").attributes["Arn"])
    client = shop.client("cloudformation", role=role)
    arn_of_stack = shop.client("cloudformation").describe_stacks(StackName="Shop")["Stacks"][0]
    for name in ("Shop", arn_of_stack["StackId"]):
        if permitted:
            assert client.list_stack_resources(StackName=name)["StackResourceSummaries"]
            continue
        with pytest.raises(ClientError, match="AccessDenied"):
            client.list_stack_resources(StackName=name)
