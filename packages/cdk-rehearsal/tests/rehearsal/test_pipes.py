"""EventBridge Pipes: filters, enrichments, templates, targets, permissions and failures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_rehearsal import check
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import World

POLLING = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]


def pipe(
    template: Cloud, source: Any, target: Any, action: str | list[str] = "*", **properties: Any
) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "pipes.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}],
    }
    template.add(
        "PipeRole",
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Statement": [trust]},
        Policies=[{"PolicyName": "p", "PolicyDocument": policy}],
    )
    template.add(
        "Pipe",
        "AWS::Pipes::Pipe",
        RoleArn=arn("PipeRole"),
        Source=source,
        Target=target,
        **properties,
    )


def send(shop: World, *bodies: Any) -> None:
    for body in bodies:
        shop.client("sqs").send_message(
            QueueUrl=shop.physical_id("Shop/From"), MessageBody=json.dumps(body)
        )
    shop.run_until_idle()


def bodies(shop: World, path: str) -> list[Any]:
    return [json.loads(message["body"]) for message in shop.messages(path)]


def test_messages_pass_a_filter_and_a_template(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html"""
    template.queue("From")
    template.queue("To")
    pipe(
        template,
        arn("From"),
        arn("To"),
        SourceParameters={
            "FilterCriteria": {"Filters": [{"Pattern": '{"body": {"n": [{"numeric": [">", 1]}]}}'}]}
        },
        TargetParameters={"InputTemplate": '{"n": <$.body.n>, "by": "<aws.pipes.pipe-name>"}'},
    )
    shop = aws()
    send(shop, {"n": 1}, {"n": 2})
    assert bodies(shop, "Shop/To") == [{"n": 2, "by": shop.physical_id("Shop/Pipe")}]
    assert shop.messages("Shop/From") == []


ENRICH = """
def handler(events, context):
    return [{**event, "rich": True} for event in events if "poor" not in event["body"]]
"""


def test_an_enrichment_changes_and_drops_events(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/pipes-enrichment.html"""
    template.queue("From")
    template.queue("To")
    template.function("Enrich", ENRICH)
    pipe(template, arn("From"), arn("To"), Enrichment=arn("Enrich"))
    shop = aws()
    send(shop, "poor", "any")
    (event,) = bodies(shop, "Shop/To")
    assert (event["body"], event["rich"]) == ('"any"', True)


def test_a_table_starts_executions(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-dynamodb.html"""
    template.table("Table")
    template.role("Role")
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        DefinitionString=json.dumps(
            {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
        ),
    )
    pipe(
        template,
        arn("Table", "StreamArn"),
        ref("Machine"),
        SourceParameters={
            "DynamoDBStreamParameters": {"StartingPosition": "LATEST", "BatchSize": 2}
        },
        TargetParameters={
            "StepFunctionStateMachineParameters": {"InvocationType": "FIRE_AND_FORGET"}
        },
    )
    shop = rehearse()
    for key in "abc":
        shop.client("dynamodb").put_item(
            TableName=shop.physical_id("Shop/Table"), Item={"pk": {"S": key}}
        )
    shop.run_until_idle()
    machine = shop.physical_id("Shop/Machine")
    client = shop.client("stepfunctions")
    inputs = [
        json.loads(client.describe_execution(executionArn=each["executionArn"])["input"])
        for each in client.list_executions(stateMachineArn=machine)["executions"]
    ]
    keys = sorted(e["dynamodb"]["Keys"]["pk"]["S"] for events in inputs for e in events)
    assert keys == ["a", "b", "c"]
    assert max(map(len, inputs)) == 2


def test_a_message_becomes_an_event(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-target.html"""
    template.queue("From")
    template.queue("Heard")
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.rule("Rule", {"source": ["shop"]}, {"Arn": arn("Heard")})
    pipe(
        template,
        arn("From"),
        arn("Bus"),
        TargetParameters={
            "InputTemplate": '{"id": "<$.body.id>"}',
            "EventBridgeEventBusParameters": {"Source": "shop", "DetailType": "Sold"},
        },
    )
    shop = aws()
    send(shop, {"id": "x"})
    (event,) = bodies(shop, "Shop/Heard")
    assert (event["detail-type"], event["detail"]) == ("Sold", {"id": "x"})


def test_a_batch_that_the_target_refuses_is_tried_again_and_parked(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-kinesis.html"""
    template.queue("Parked")
    template.queue("From", dead_letters="Parked", receives=2)
    template.function("Fail", "def handler(event, context): raise ValueError")
    pipe(template, arn("From"), arn("Fail"))
    shop = rehearse()
    send(shop, 1)
    assert bodies(shop, "Shop/Parked") == [1]
    assert len([r for r in shop.meter.records if r.kind == "invocation"]) == 2


def test_a_pipe_does_only_what_its_role_permits(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-permissions.html"""
    template.queue("Parked")
    template.queue("From", dead_letters="Parked", receives=1)
    template.queue("To")
    pipe(template, arn("From"), arn("To"), action=POLLING)
    shop = rehearse()
    send(shop, 1)
    assert (bodies(shop, "Shop/To"), bodies(shop, "Shop/Parked")) == ([], [1])


@pytest.mark.parametrize(
    ("service", "action", "problem"),
    [
        ("pipes", POLLING[:2], "sqs:getqueueattributes"),
        ("pipes", ["sqs:SendMessage"], "does not permit to poll its source"),
        ("events", ["*"], "does not let pipes.amazonaws.com assume it"),
    ],
)
def test_a_pipe_whose_role_cannot_poll_is_not_created(
    template: Cloud, service: str, action: list[str], problem: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-permissions.html"""
    template.queue("From")
    template.queue("To")
    pipe(template, arn("From"), arn("To"), action=action)
    role = template.resources["PipeRole"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    statement["Principal"]["Service"] = f"{service}.amazonaws.com"
    (found,) = check(template.write())
    assert found.path == "Shop/Pipe"
    assert problem in found.problem


def test_a_pipe_polls_with_what_its_role_permits_at_the_moment(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-permissions.html"""
    template.queue("From")
    template.queue("To")
    pipe(template, arn("From"), arn("To"))
    shop = rehearse()
    shop.client("iam").delete_role_policy(
        RoleName=shop.physical_id("Shop/PipeRole"), PolicyName="p"
    )
    send(shop, 1)
    (delivery,) = [r for r in shop.meter.records if r.kind == "delivery"]
    assert (delivery.target, delivery.detail["outcome"]) == ("Shop/Pipe", "denied")
    assert "assumed-role/Shop-PipeRole" in delivery.detail["error"]
    assert shop.queue_depths() == {"Shop/From": 1, "Shop/To": 0}


def test_a_pipe_needs_the_key_of_its_target(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-permissions.html"""
    template.queue("Parked")
    template.queue("From", dead_letters="Parked", receives=1)
    root = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    delegate = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    template.add("Key", "AWS::KMS::Key", KeyPolicy={"Statement": [delegate]})
    template.queue("To", KmsMasterKeyId=arn("Key"))
    pipe(template, arn("From"), arn("To"), action="sqs:*")
    shop = rehearse()
    send(shop, 1)
    (failure,) = [r for r in shop.meter.records if r.source == "Shop/Pipe"]
    assert "kms:GenerateDataKey" in failure.detail["error"]
    assert bodies(shop, "Shop/Parked") == [1]


def test_a_stopped_pipe_does_nothing(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes.html"""
    template.queue("From")
    template.queue("To")
    pipe(template, arn("From"), arn("To"), DesiredState="STOPPED")
    shop = rehearse()
    send(shop, 1)
    assert bodies(shop, "Shop/To") == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"Target": "arn:aws:batch:eu-central-1:1:job-queue/x"}, "does not know targets"),
        ({"Source": "arn:aws:kafka:eu-central-1:1:cluster/x"}, "does not know sources"),
        ({"Enrichment": "arn:aws:events:eu-central-1:1:api-destination/x"}, "enrichments such as"),
        ({"TargetParameters": {"EcsTaskParameters": {}}}, "unknown property EcsTaskParameters"),
    ],
)
def test_what_a_pipe_is_not_known_to_do_is_an_error(
    template: Cloud, changed: dict[str, Any], problem: str
) -> None:
    template.queue("From")
    template.queue("To")
    pipe(template, arn("From"), arn("To"))
    template.resources["Pipe"]["Properties"].update(changed)
    (found,) = check(template.write())
    assert problem in found.problem
