"""Every asynchronous edge has limited retries, a dead-letter queue and an alarm."""

import re
from collections import Counter
from pathlib import Path

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import edges, losses
from tests.stacks.hops import is_custom, queue_mappings, routes, stream_mappings, subscriptions

SOUGHT = re.compile(r"\.of_type\(((?:\s*\"[\w:]+\",?)+)\s*\)")
"""The types of resources that a test looks for."""


def test_no_edge_loses_messages_unnoticed(shop: Assembly) -> None:
    assert [str(finding) for finding in losses(shop)] == []


def test_each_resource_that_sends_asynchronously_has_its_edges(shop: Assembly) -> None:
    expected = {
        "subscriber" if is_custom(shop) else "rule": len([*routes(shop)]),
        "queue": len(queue_mappings(shop)),
        "stream": len(stream_mappings(shop)),
        "topic": len(subscriptions(shop)),
        "bucket": sum(
            len(bucket.properties["NotificationConfiguration"]["QueueConfigurations"])
            for bucket in shop.of_type("AWS::S3::Bucket")
        ),
        "schedule": len(shop.of_type("AWS::Scheduler::Schedule")),
        "scheduled": 1,  # The reminders of shipping, which no resource represents.
    }
    assert Counter(edge.kind for edge in edges(shop)) == expected
    assert all(expected.values()), "a service that the shop uses is not in the templates"


def test_the_application_uses_every_service(shop: Assembly) -> None:
    assert {
        "AWS::ApiGatewayV2::Api",
        "AWS::DynamoDB::GlobalTable",
        "AWS::EventsV2::EventBus" if is_custom(shop) else "AWS::Events::EventBus",
        "AWS::Kinesis::Stream",
        "AWS::Lambda::Function",
        "AWS::S3::Bucket",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
        "AWS::StepFunctions::StateMachine",
    } <= {resource.type for resource in shop.resources}


def test_no_test_looks_for_resources_of_a_type_that_the_templates_lack(
    classic: Assembly, custom: Assembly
) -> None:
    """A loop over no resources would check nothing."""
    sought = {
        type_
        for file in Path(__file__).parent.glob("*.py")
        for types in SOUGHT.findall(file.read_text())
        for type_ in re.findall(r"[\w:]+", types)
    }
    assert {"AWS::SQS::Queue", "AWS::KMS::Key"} <= sought
    assert sought <= {each.type for shop in (classic, custom) for each in shop.resources}


def test_each_schedule_group_has_an_edge(shop: Assembly) -> None:
    """This applies to schedules in the template and to schedules that a function creates."""
    groups = {group.path for group in shop.of_type("AWS::Scheduler::ScheduleGroup")}
    named = {
        shop.referred(schedule.stack, schedule.properties["GroupName"]).path
        for schedule in shop.of_type("AWS::Scheduler::Schedule")
    }
    created = {edge.source for edge in edges(shop) if edge.kind == "scheduled"}
    assert groups == named | created
