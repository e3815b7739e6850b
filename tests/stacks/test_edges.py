"""Every asynchronous edge retries within bounds, parks what it cannot deliver, and says so."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from topology.assembly import Assembly
from topology.edges import Edge, edges

AT_LEAST = 40


def test_no_edge_loses_anything_unseen(shop: Assembly) -> None:
    found = edges(shop)
    print(f"\n{len(found)} edges: {dict(Counter(edge.kind for edge in found))}")
    print("\n".join(map(str, found)))

    assert {str(edge): edge.lacks for edge in found if edge.lacks} == {}
    assert len(found) >= AT_LEAST


def test_the_application_has_every_service_and_its_size(shop: Assembly, stage: str) -> None:
    types = {resource.type for resource in shop.resources}
    assert {
        "AWS::ApiGatewayV2::Api",
        "AWS::DynamoDB::GlobalTable",
        "AWS::Events::EventBus",
        "AWS::Kinesis::Stream",
        "AWS::Lambda::Function",
        "AWS::S3::Bucket",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
        "AWS::StepFunctions::StateMachine",
    } <= types
    assert len(shop.resources) >= 250


def _without(*path: str) -> Callable[[dict[str, Any]], None]:
    """Takes a property out of a resource's properties, in the first element of lists."""

    def take(properties: dict[str, Any]) -> None:
        node: Any = properties
        for name in path[:-1]:
            node = node[name]
            node = node[0] if isinstance(node, list) else node
        del node[path[-1]]

    return take


SABOTAGE = [
    ("rule", "AWS::Events::Rule", _without("Targets", "RetryPolicy")),
    ("rule", "AWS::Events::Rule", _without("Targets", "DeadLetterConfig")),
    ("queue", "AWS::SQS::Queue", _without("RedrivePolicy")),
    ("stream", "AWS::Lambda::EventSourceMapping", _without("MaximumRetryAttempts")),
    ("stream", "AWS::Lambda::EventSourceMapping", _without("MaximumRecordAgeInSeconds")),
    ("stream", "AWS::Lambda::EventSourceMapping", _without("DestinationConfig")),
    ("topic", "AWS::SNS::Subscription", _without("RedrivePolicy")),
    ("bucket", "AWS::SQS::Queue", _without("RedrivePolicy")),
    ("schedule", "AWS::Scheduler::Schedule", _without("Target", "RetryPolicy")),
    ("schedule", "AWS::Scheduler::Schedule", _without("Target", "DeadLetterConfig")),
    *(
        ("reminder", "AWS::Lambda::Function", _without("Environment", "Variables", name))
        for name in ("REMINDER_ATTEMPTS", "REMINDER_AGE_S", "REMINDER_PARKING_ARN")
    ),
]


def test_each_kind_of_edge_is_sabotaged_below(shop: Assembly) -> None:
    assert {edge.kind for edge in edges(shop)} == {kind for kind, _, _ in SABOTAGE}


def test_each_group_of_schedules_has_its_edge(shop: Assembly) -> None:
    """Whether its schedules are in the template or are made by a function."""
    groups = {group.path for group in shop.of_type("AWS::Scheduler::ScheduleGroup")}
    named = {
        shop.referred(schedule.stack, schedule.properties["GroupName"]).path
        for schedule in shop.of_type("AWS::Scheduler::Schedule")
    }
    reminding = {edge.source for edge in edges(shop) if edge.kind == "reminder"}
    assert groups == named | reminding


@pytest.mark.parametrize(("kind", "resource_type", "sabotage"), SABOTAGE)
def test_an_edge_that_lacks_something_is_found(
    shop: Assembly, kind: str, resource_type: str, sabotage: Callable[[dict[str, Any]], None]
) -> None:
    """Each property is taken from each resource that has it, and each time an edge is found."""
    before = {edge.kind for edge in edges(shop) if not edge.lacks}
    assert kind in before, f"no edge of kind {kind}"
    found: list[Edge] = []
    for resource in shop.of_type(resource_type):
        kept = copy.deepcopy(resource.properties)
        try:
            sabotage(resource.properties)
        except (KeyError, IndexError):
            continue  # a resource of this type without this property, as a queue's parking
        try:
            lacking = [edge for edge in edges(shop) if edge.lacks]
        finally:
            resource.properties.clear()
            resource.properties.update(kept)
        assert lacking, f"{resource} without it, and no edge lacks anything"
        found += lacking
    assert kind in {edge.kind for edge in found}


def test_an_edge_without_an_alarm_or_with_one_that_tells_nobody_is_found(shop: Assembly) -> None:
    kinds = {edge.kind for edge in edges(shop)}
    for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
        actions = alarm.properties.pop("AlarmActions")
        try:
            kinds -= {edge.kind for edge in edges(shop) if edge.lacks}
        finally:
            alarm.properties["AlarmActions"] = actions
    assert kinds == set(), f"alarms of {kinds} may be muted without anybody noticing"
