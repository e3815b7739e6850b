"""The durability rules about subscribers of a Custom Event Bus.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html
"""

from collections.abc import Callable
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import DurabilityRule as Rule
from cdk_rehearsal.topology import edges, losses

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


def shop() -> Resources:
    """A bus with a subscriber that loses nothing."""
    of_subscriber = {"EventBus": ref("Bus"), "Subscriber": arn("Subscriber", "SubscriberArn")}
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    return {
        "Alarms": {"Type": "AWS::SNS::Topic", "Properties": {}},
        "Bus": {"Type": "AWS::EventsV2::EventBus", "Properties": {"Name": "shop"}},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {}},
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
                "AssumeRolePolicyDocument": {"Statement": [trust]},
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
            lambda r: subscriber(r).pop("OnFailureConfiguration"),
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
    found = {(loss.rule, loss.resource.path) for loss in losses(assembly(resources))}
    assert found == {(rule, f"Shop/{path}")}


def test_an_asynchronous_invocation_of_a_function_is_a_second_edge() -> None:
    resources = shop()
    resources["Function"] = {"Type": "AWS::Lambda::Function", "Properties": {"Role": arn("Role")}}
    invoke = subscriber(resources)["InvokeConfiguration"]
    invoke["TargetArn"] = arn("Function")
    invoke["LambdaParameters"] = {"InvocationType": "EVENT"}
    assert [edge.kind for edge in edges(assembly(resources))] == ["invoke", "subscriber"]
    invoke["LambdaParameters"] = {"InvocationType": "REQUEST_RESPONSE"}
    assert [edge.kind for edge in edges(assembly(resources))] == ["subscriber"]
