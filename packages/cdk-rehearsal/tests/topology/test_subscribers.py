"""The durability rules about subscribers of a Custom Event Bus.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import DurabilityRule as Rule
from cdk_rehearsal.topology import compare_assemblies, edges, losses

Resources = dict[str, dict[str, Any]]


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def arn(name: str, attribute: str = "Arn") -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, attribute]}


def alarm(metric: str, **dimensions: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "AlarmActions": [ref("Alarms")],
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        },
    }


def permit(*queues: str) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": [arn(queue) for queue in queues],
    }


def trust(service: str) -> dict[str, Any]:
    principal = {"Service": f"{service}.amazonaws.com"}
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}


def shop() -> Resources:
    """A bus with a subscriber that loses nothing."""
    of_subscriber = {"EventBus": ref("Bus"), "Subscriber": arn("Subscriber", "SubscriberArn")}
    return {
        "Alarms": {"Type": "AWS::SNS::Topic", "Properties": {}},
        "Bus": {"Type": "AWS::EventsV2::EventBus", "Properties": {"Name": "shop"}},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {}},
        "Server": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Statement": [trust("ec2")]},
                "Policies": [
                    {
                        "PolicyName": "Receive",
                        "PolicyDocument": {
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Action": "sqs:ReceiveMessage",
                                    "Resource": arn("Queue"),
                                }
                            ]
                        },
                    }
                ],
            },
        },
        "Undelivered": {
            "Type": "AWS::SQS::Queue",
            "Properties": {"MessageRetentionPeriod": 1_209_600},
        },
        "Parked": alarm(
            "ApproximateNumberOfMessagesVisible", QueueName=arn("Undelivered", "QueueName")
        ),
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Statement": [trust("events")]},
                "Policies": [
                    {
                        "PolicyName": "Deliver",
                        "PolicyDocument": {"Statement": [permit("Queue", "Undelivered")]},
                    }
                ],
            },
        },
        "Subscriber": {
            "Type": "AWS::EventsV2::Subscriber",
            "Properties": {
                "Name": "subscriber",
                "EventBusArn": ref("Bus"),
                "InvokeConfiguration": {"TargetArn": arn("Queue"), "RoleArn": arn("Role")},
                "RetryPolicy": {"MaxRetryAttempts": 185, "MaxEventAgeInSeconds": 86_400},
                "OnFailureConfiguration": {"Arn": arn("Undelivered")},
            },
        },
        "GivenUp": alarm("OnFailureDestinationDelivered", **of_subscriber),
        "Lost": alarm("OnFailureDestinationFailed", **of_subscriber),
    }


def assembly(resources: Resources) -> Assembly:
    for name, resource in resources.items():
        resource["Metadata"] = {"aws:cdk:path": f"Shop/{name}/Resource"}
    return Assembly({"Shop": {"Resources": resources}})


def subscriber(resources: Resources) -> dict[str, Any]:
    properties: dict[str, Any] = resources["Subscriber"]["Properties"]
    return properties


def granting(*queues: str) -> Callable[[Resources], object]:
    def spoil(resources: Resources) -> None:
        policy = resources["Role"]["Properties"]["Policies"][0]
        policy["PolicyDocument"]["Statement"] = [permit(*queues)]

    return spoil


def without_dead_letter_queue(resources: Resources) -> None:
    subscriber(resources).pop("OnFailureConfiguration")
    granting("Queue")(resources)
    for name in ("Undelivered", "Parked"):
        resources.pop(name)


def test_a_subscriber_is_an_edge_with_its_retries_dead_letter_queue_and_alarms() -> None:
    (edge,) = edges(assembly(shop()))
    assert str(edge) == (
        "subscriber Shop/Subscriber -> Shop/Queue | retries: 185 times, 86400 s "
        "| parks in Shop/Undelivered | 2 alarms"
    )
    assert losses(assembly(shop())) == []


@pytest.mark.parametrize(
    ("spoil", "rule", "path"),
    [
        (lambda r: subscriber(r).pop("RetryPolicy"), Rule.BoundedRetry, "Subscriber"),
        (
            lambda r: subscriber(r)["RetryPolicy"].pop("MaxEventAgeInSeconds"),
            *(Rule.BoundedRetry, "Subscriber"),
        ),
        (
            lambda r: subscriber(r)["RetryPolicy"].pop("MaxRetryAttempts"),
            *(Rule.BoundedRetry, "Subscriber"),
        ),
        (
            without_dead_letter_queue,
            *(Rule.DeadLetterQueue, "Subscriber"),
        ),
        (lambda r: r.pop("GivenUp"), Rule.AlarmWithAction, "Subscriber"),
        (lambda r: r.pop("Lost"), Rule.AlarmWithAction, "Subscriber"),
        (lambda r: r.pop("Parked"), Rule.ParkedMessageAlarm, "Undelivered"),
        (granting("Queue"), Rule.PermissionToSend, "Role"),
        (granting("Undelivered"), Rule.PermissionToSend, "Role"),
    ],
)
def test_what_a_subscriber_lacks_is_found(
    spoil: Callable[[Resources], object], rule: Rule, path: str
) -> None:
    resources = shop()
    spoil(resources)
    found = losses(assembly(resources))
    assert {(loss.rule, loss.resource.path) for loss in found} == {(rule, f"Shop/{path}")}
    assert all(str(loss).startswith(f"Shop/{path}: ") for loss in found)


def test_an_asynchronous_invocation_of_a_function_is_a_second_edge() -> None:
    resources = shop()
    resources["Function"] = {"Type": "AWS::Lambda::Function", "Properties": {"Role": arn("Role")}}
    invoke = subscriber(resources)["InvokeConfiguration"]
    invoke["TargetArn"] = arn("Function")
    invoke["LambdaParameters"] = {"InvocationType": "EVENT"}
    assert [edge.kind for edge in edges(assembly(resources))] == ["invoke", "subscriber"]
    invoke["LambdaParameters"] = {"InvocationType": "REQUEST_RESPONSE"}
    assert [edge.kind for edge in edges(assembly(resources))] == ["subscriber"]


# -- the review of a change ------------------------------------------------------------------


def filtered(*detail_types: str, **more: str) -> dict[str, Any]:
    pattern = json.dumps({"detail-type": list(detail_types), **more})
    return {"FilterConfiguration": {"Filters": [{"Scope": "DATA", "Pattern": pattern}]}}


def reviewed(change: Callable[[Resources], object]) -> dict[str, list[str]]:
    """The lines of the review of a change, by section; its replacements are one of them."""
    before, after = shop(), shop()
    for resources in (before, after):
        subscriber(resources).update(filtered("OrderPlaced.v1"))
        resources["Bus"]["Properties"]["StorageConfiguration"] = {"RetentionPeriodInDays": 30}
    change(after)
    found = compare_assemblies(assembly(before), assembly(after))
    lines = {name: [*told] for name, told in found.sections.items() if told}
    if found.replacements:
        lines["replacements"] = [str(each) for each in found.replacements]
    return lines


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda r: subscriber(r).update(filtered("OrderPlaced.v1", "OrderPlaced.v2")),
            "subscriber `Shop/Subscriber` also takes detail-type OrderPlaced.v2",
        ),
        (
            lambda r: subscriber(r).pop("RetryPolicy"),
            "subscriber `Shop/Subscriber` → `Shop/Queue`: retries 185 times, 86400 s → **nothing**",
        ),
        (
            lambda r: subscriber(r).pop("OnFailureConfiguration"),
            "subscriber `Shop/Subscriber` → `Shop/Queue`: parks in Shop/Undelivered → **nothing**",
        ),
        (lambda r: r.pop("Subscriber"), "gone subscriber: `Shop/Subscriber` → `Shop/Queue`"),
        (
            lambda r: r["Bus"]["Properties"].update(
                StorageConfiguration={"RetentionPeriodInDays": 1}
            ),
            "shortened: `Shop/Bus` RetentionPeriodInDays 30 → 1 days",
        ),
        (
            lambda r: subscriber(r).update(Name="another"),
            "`Shop/Subscriber` (AWS::EventsV2::Subscriber) would be replaced: Name changes from "
            "subscriber to another, its backlog and its position on the bus with it",
        ),
        (
            lambda r: r.pop("Bus"),
            "`Shop/Bus` (AWS::EventsV2::EventBus) would be deleted: it leaves the templates, the "
            "events that it retains and the subscribers of others with it",
        ),
    ],
)
def test_a_review_tells_what_changes_for_a_subscriber(
    change: Callable[[Resources], object], line: str
) -> None:
    lines = [each for told in reviewed(change).values() for each in told]
    assert line in lines, lines


def test_who_may_use_a_bus_is_a_permission() -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": "events:PutEvents",
        "Resource": arn("Bus", "EventBusArn"),
    }

    def share(resources: Resources) -> None:
        resources["Policy"] = {
            "Type": "AWS::EventsV2::ResourcePolicy",
            "Properties": {
                "EventBusArn": arn("Bus", "EventBusArn"),
                "PolicyDocument": {"Statement": [statement]},
            },
        }

    lines = [each for told in reviewed(share).values() for each in told]
    assert any("111122223333" in each and "events:PutEvents" in each for each in lines), lines
