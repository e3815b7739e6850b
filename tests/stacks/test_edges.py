"""Every asynchronous edge retries within bounds, parks what it cannot deliver, and says so."""

from collections import Counter

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import edges, losses

AT_LEAST = 40


def test_no_edge_loses_anything_unseen(shop: Assembly) -> None:
    found = edges(shop)
    print(f"\n{len(found)} edges: {dict(Counter(edge.kind for edge in found))}")
    print("\n".join(map(str, found)))

    assert [str(finding) for finding in losses(shop)] == []
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


def test_each_group_of_schedules_has_its_edge(shop: Assembly) -> None:
    """Whether its schedules are in the template or are made by a function."""
    groups = {group.path for group in shop.of_type("AWS::Scheduler::ScheduleGroup")}
    named = {
        shop.referred(schedule.stack, schedule.properties["GroupName"]).path
        for schedule in shop.of_type("AWS::Scheduler::Schedule")
    }
    created = {edge.source for edge in edges(shop) if edge.kind == "scheduled"}
    assert groups == named | created
