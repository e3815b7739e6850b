"""The custom resources of the CDK library: the rehearsal does what their functions do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import check
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse


def provider(template: Cloud, name: str) -> Any:
    """Adds the function of custom resources, in JavaScript."""
    template.function(name, "exports.handler = async () => 1")
    template.resources[name]["Properties"]["Runtime"] = "nodejs22.x"
    return arn(name)


def topic(template: Cloud) -> None:
    template.add("Topic", "AWS::SNS::Topic")
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": ref("Topic"),
    }
    template.add(
        "Admit",
        "AWS::SNS::TopicPolicy",
        Topics=[ref("Topic")],
        PolicyDocument={"Version": "2012-10-17", "Statement": [statement]},
    )
    template.queue("Heard")
    send = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn("Heard"),
    }
    template.resources["HeardPolicy"]["Properties"]["PolicyDocument"]["Statement"].append(send)
    template.add(
        "Send",
        "AWS::SNS::Subscription",
        TopicArn=ref("Topic"),
        Protocol="sqs",
        Endpoint=arn("Heard"),
        RawMessageDelivery=True,
    )


def notifications(template: Cloud, **configuration: Any) -> None:
    template.add("Bucket", "AWS::S3::Bucket", BucketName="drop")
    template.add(
        "Notify",
        "Custom::S3BucketNotifications",
        BucketName=ref("Bucket"),
        ServiceToken=provider(template, "Handler"),
        NotificationConfiguration=configuration,
    )
    template.resources["Notify"]["DependsOn"] = ["Admit"] if "Admit" in template.resources else []


def test_notifications_of_a_bucket_reach_a_topic(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html"""
    topic(template)
    rules = [{"Name": "suffix", "Value": ".csv"}]
    notifications(
        template,
        TopicConfigurations=[
            {
                "Events": ["s3:ObjectCreated:*"],
                "TopicArn": ref("Topic"),
                "Filter": {"Key": {"FilterRules": rules}},
            }
        ],
    )
    shop = rehearse()
    for key in ("a.csv", "b.txt"):
        shop.client("s3").put_object(Bucket="drop", Key=key, Body=b"x")
    shop.run_until_idle()
    test, told = (json.loads(message["body"]) for message in shop.messages("Shop/Heard"))
    assert test["Event"] == "s3:TestEvent"
    assert told["Records"][0]["s3"]["object"]["key"] == "a.csv"


def test_a_topic_that_does_not_admit_the_bucket_is_an_error(template: Cloud) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html"""
    topic(template)
    del template.resources["Admit"]
    notifications(
        template, TopicConfigurations=[{"Events": ["s3:ObjectCreated:*"], "TopicArn": ref("Topic")}]
    )
    (problem,) = check(template.write())
    assert "Shop/Topic does not admit s3.amazonaws.com" in problem.problem


def test_a_bucket_reports_to_the_default_bus(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html"""
    notifications(template, EventBridgeConfiguration={})
    template.queue("Heard")
    template.rule(
        "Rule",
        {"source": ["aws.s3"], "detail": {"bucket": {"name": ["drop"]}}},
        {"Arn": arn("Heard")},
    )
    del template.resources["Rule"]["Properties"]["EventBusName"]
    shop = rehearse()
    s3 = shop.client("s3")
    s3.put_object(Bucket="drop", Key="a b", Body=b"xy")
    s3.delete_object(Bucket="drop", Key="a b")
    shop.run_until_idle()
    made, gone = (json.loads(message["body"]) for message in shop.messages("Shop/Heard"))
    assert made["detail-type"] == "Object Created"
    assert (made["detail"]["object"]["key"], made["detail"]["object"]["size"]) == ("a b", 2)
    assert made["detail"]["reason"] == "PutObject"
    assert gone["detail-type"] == "Object Deleted"
    assert gone["detail"]["deletion-type"] == "Permanently Deleted"


def test_a_bucket_can_report_to_the_default_bus_by_its_own_property(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html"""
    template.add(
        "Bucket",
        "AWS::S3::Bucket",
        BucketName="drop",
        NotificationConfiguration={"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
    )
    template.queue("Heard")
    template.rule("Rule", {"source": ["aws.s3"]}, {"Arn": arn("Heard")})
    del template.resources["Rule"]["Properties"]["EventBusName"]
    shop = rehearse()
    shop.client("s3").put_object(Bucket="drop", Key="a", Body=b"")
    shop.run_until_idle()
    assert len(shop.messages("Shop/Heard")) == 1


def test_a_call_of_the_sdk_is_made_and_its_answer_can_be_used(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources.AwsCustomResource.html"""
    token = provider(template, "AWS679f53fac002430cb0da5b7982bd22872D164C4C")
    template.add("Price", "AWS::SSM::Parameter", Name="price", Type="String", Value="29")
    template.add(
        "Read",
        "Custom::AWS",
        ServiceToken=token,
        Create={
            "Fn::Join": [
                "",
                [
                    '{"service": "@aws-sdk/client-ssm", "action": "GetParameterCommand", '
                    '"parameters": {"Name": "',
                    ref("Price"),
                    '"}, "physicalResourceId": {"responsePath": "Parameter.Name"}}',
                ],
            ]
        },
    )
    template.function(
        "Tell",
        "import os\ndef handler(event, context): return os.environ['V']",
        Environment={"Variables": {"V": arn("Read", "Parameter.Value")}},
    )
    shop = rehearse()
    assert shop.invoke("Shop/Tell", {}).payload == "29"
    assert shop.physical_id("Shop/Read") == "price"


@pytest.mark.parametrize("assumed", [False, True])
def test_a_call_of_the_sdk_needs_the_permission_of_its_role(template: Cloud, assumed: bool) -> None:
    read = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}
    other = {"Effect": "Allow", "Action": "ssm:PutParameter", "Resource": "*"}
    template.role("Role", other)
    template.role("Reader", read if assumed else other)
    token = provider(template, "AWS679f53fac002430cb0da5b7982bd22872D164C4C")
    template.add("Price", "AWS::SSM::Parameter", Name="price", Type="String", Value="29")
    call = {"service": "SSM", "action": "getParameter", "parameters": {"Name": "price"}}
    role = "arn:aws:iam::123456789012:role/reader"
    template.resources["Reader"]["Properties"]["RoleName"] = "reader"
    stated = json.dumps({**call, **({"assumedRoleArn": role} if assumed else {})})
    template.add("Read", "Custom::AWS", ServiceToken=token, Create=stated)
    template.resources["Read"]["DependsOn"] = ["Price", "Reader"]
    problems = [each.problem for each in check(template.write())]
    if assumed:
        assert problems == []
    else:
        (problem,) = problems
        assert "is not authorized to perform: ssm:GetParameter" in problem
        assert "no identity-based policy allows" in problem


def test_a_log_policy_by_a_call_of_the_sdk_lets_a_rule_write(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources-readme.html"""
    token = provider(template, "AWS679f53fac002430cb0da5b7982bd22872D164C4C")
    policy = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": "*",
            }
        ]
    }
    call = {
        "service": "CloudWatchLogs",
        "action": "putResourcePolicy",
        "parameters": {"policyName": "p", "policyDocument": json.dumps(policy)},
        "physicalResourceId": {"id": "p"},
    }
    template.add(
        "Policy", "Custom::CloudwatchLogResourcePolicy", ServiceToken=token, Create=json.dumps(call)
    )
    template.add("Group", "AWS::Logs::LogGroup", LogGroupName="/aws/events/shop")
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.rule("Rule", {"source": ["shop"]}, {"Arn": arn("Group")})
    shop = rehearse()
    entry = {"EventBusName": "bus", "Source": "shop", "DetailType": "d", "Detail": "{}"}
    shop.client("events").put_events(Entries=[entry])
    shop.run_until_idle()
    outcomes = [r.detail["outcome"] for r in shop.meter.records if r.kind == "delivery"]
    assert outcomes == ["delivered"]


def test_an_unknown_service_of_the_sdk_is_an_error(template: Cloud) -> None:
    token = provider(template, "AWS679f53fac002430cb0da5b7982bd22872D164C4C")
    template.add(
        "Call",
        "Custom::AWS",
        ServiceToken=token,
        Create=json.dumps({"service": "Teleport", "action": "beam"}),
    )
    (problem,) = check(template.write())
    assert "does not know the service Teleport" in problem.problem


def test_files_are_uploaded_with_their_markers_replaced(
    template: Cloud, rehearse: Rehearse, tmp_path: Path
) -> None:
    """https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_s3_deployment-readme.html"""
    site = tmp_path / "site"
    site.mkdir()
    (site / "page.html").write_text("at <<marker>>")
    template.files["page.zip"] = str(site)
    template.add("Bucket", "AWS::S3::Bucket", BucketName="drop")
    template.add(
        "Upload",
        "Custom::CDKBucketDeployment",
        ServiceToken=provider(template, "Uploads"),
        DestinationBucketName=ref("Bucket"),
        SourceBucketNames=["assets"],
        SourceObjectKeys=["page.zip"],
        SourceMarkers=[{"<<marker>>": ref("Bucket")}],
        DestinationBucketKeyPrefix="web",
    )
    shop = rehearse()
    content = shop.client("s3").get_object(Bucket="drop", Key="web/page.html")["Body"].read()
    assert content == b"at drop"


def test_a_trigger_invokes_its_function_after_the_deployment(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.triggers-readme.html"""
    template.function("Work", "def handler(event, context): print('ran')")
    template.add("Now", "AWS::Lambda::Version", FunctionName=ref("Work"))
    template.add(
        "Trigger",
        "Custom::Trigger",
        ServiceToken=provider(template, "Triggers"),
        HandlerArn=ref("Now"),
        InvocationType="RequestResponse",
    )
    shop = rehearse()
    shop.run_until_idle()
    assert shop.logs("Shop/Work") == "ran\n"


def test_what_acts_on_deletion_or_a_network_is_accepted(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-custom-resources.html"""
    template.add("Bucket", "AWS::S3::Bucket")
    template.add(
        "Empty",
        "Custom::S3AutoDeleteObjects",
        BucketName=ref("Bucket"),
        ServiceToken=provider(template, "Empties"),
    )
    template.add(
        "Logs",
        "Custom::LogRetention",
        LogGroupName="/aws/lambda/x",
        RetentionInDays=7,
        ServiceToken=provider(template, "Keeps"),
    )
    template.function(
        "Tell",
        "import os\ndef handler(event, context): return os.environ['V']",
        Environment={"Variables": {"V": arn("Logs", "LogGroupName")}},
    )
    assert rehearse().invoke("Shop/Tell", {}).payload == "/aws/lambda/x"


def test_a_function_that_serves_an_unknown_custom_resource_too_is_not_skipped(
    template: Cloud,
) -> None:
    token = provider(template, "Both")
    template.add("Empty", "Custom::S3AutoDeleteObjects", ServiceToken=token)
    template.add("Own", "Custom::Own", ServiceToken=token)
    found = {each.path: each.problem for each in check(template.write())}
    assert "not the runtime nodejs22.x" in found["Shop/Both"]
    assert "unknown resource type" in found["Shop/Own"]
