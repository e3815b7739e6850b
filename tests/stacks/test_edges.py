"""Every asynchronous edge has limited retries, a dead-letter queue and an alarm."""

from collections import Counter

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import edges, losses

AT_LEAST = 40


def test_no_edge_loses_messages_unnoticed(shop: Assembly) -> None:
    found = edges(shop)
    print(f"\n{len(found)} edges: {dict(Counter(edge.kind for edge in found))}")
    print("\n".join(map(str, found)))

    assert [str(finding) for finding in losses(shop)] == []
    assert len(found) >= AT_LEAST


def test_the_application_uses_every_service_and_has_its_size(shop: Assembly, stage: str) -> None:
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


def test_each_schedule_group_has_an_edge(shop: Assembly) -> None:
    """This applies to schedules in the template and to schedules that a function creates."""
    groups = {group.path for group in shop.of_type("AWS::Scheduler::ScheduleGroup")}
    named = {
        shop.referred(schedule.stack, schedule.properties["GroupName"]).path
        for schedule in shop.of_type("AWS::Scheduler::Schedule")
    }
    created = {edge.source for edge in edges(shop) if edge.kind == "scheduled"}
    assert groups == named | created
