"""A stage on the Custom Event Bus: the same routes as on the classic bus, and as durable."""

import json
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import edges, losses
from stacks.environment import PROD, environment_named
from tests.stacks.hops import routes

SUBSCRIBER = "AWS::EventsV2::Subscriber"


def stated(shop: Assembly) -> list[tuple[str, str]]:
    """The pattern and the target of each route from the bus."""
    return sorted(
        (
            json.dumps(route.pattern, sort_keys=True),
            target_of(shop, route.resource.stack, route.target),
        )
        for route in routes(shop)
    )


def target_of(shop: Assembly, stack: str, arn: Any) -> str:
    """The path of a target; all routes to a log are alike."""
    found = shop.find(stack, arn)
    return found.path if found and "LogGroup" not in found.type else "the log"


def test_both_buses_have_the_same_routes(custom: Assembly, classic: Assembly) -> None:
    assert stated(custom) == stated(classic)
    assert not any(r.type.startswith("AWS::Events::") for r in custom.resources)
    assert not any(r.type.startswith("AWS::EventsV2::") for r in classic.resources)


def test_a_stage_on_the_custom_bus_loses_nothing(custom: Assembly) -> None:
    assert losses(custom) == []


def test_every_subscriber_retries_for_a_day(custom: Assembly) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-migrate.html"""
    retries = {edge.retries for edge in edges(custom) if edge.kind == "subscriber"}
    assert retries == {"185 times, 86400 s"}


def test_subscribers_take_new_events_in_any_order(custom: Assembly) -> None:
    """Both are the defaults. In order, one event that fails would hold up the others of its group.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-subscribers.html
    """
    for each in custom.all_of(SUBSCRIBER):
        assert each.properties.get("Type", "UNORDERED") == "UNORDERED", each
        assert each.properties.get("StartingPosition", "LATEST") == "LATEST", each


def test_each_call_of_an_api_has_one_event(custom: Assembly) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-universal-targets.html."""
    batches = custom.at("Backbone/EventLog/Subscriber").properties["BatchConfiguration"]
    assert batches["MaxBatchSize"] == 1


def test_records_without_payload_have_a_queue_of_their_own(custom: Assembly) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    by_kind: dict[bool, set[str | None]] = {True: set(), False: set()}
    for edge in edges(custom):
        by_kind[edge.kind == "subscriber"].add(edge.parking)
    assert by_kind[True]
    assert by_kind[True].isdisjoint(by_kind[False])


def test_a_role_delivers_for_one_subscriber_to_one_target(custom: Assembly) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-subscribers.html"""
    roles = set()
    for subscriber in custom.all_of(SUBSCRIBER):
        invoke = subscriber.properties["InvokeConfiguration"]
        role = custom.find(subscriber.stack, invoke["RoleArn"])
        assert role is not None
        roles.add(role.path)
        (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        named = json.dumps(trust["Condition"]["ArnLike"]["aws:SourceArn"])
        assert f":subscriber/{subscriber.properties['Name']}/*" in named
        (policy,) = role.properties["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]:
            assert "*" not in json.dumps([statement["Action"], statement["Resource"]])
    assert len(roles) == len(custom.all_of(SUBSCRIBER))


def test_the_bus_retains_events_as_long_as_the_archive(custom: Assembly) -> None:
    (bus,) = custom.all_of("AWS::EventsV2::EventBus")
    retained = bus.properties["StorageConfiguration"]["RetentionPeriodInDays"]
    assert retained == PROD.archive_days
    assert bus.definition["DeletionPolicy"] == "RetainExceptOnCreate"


def test_no_subscriber_logs_payloads(custom: Assembly) -> None:
    """Logs of failed deliveries always have the payload.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-observability.html
    """
    assert not any("LogConfiguration" in each.properties for each in custom.all_of(SUBSCRIBER))


def test_only_the_log_and_the_stream_need_expressions_that_are_billed(custom: Assembly) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-transform.html"""
    billed = {
        each.path for each in custom.all_of(SUBSCRIBER) if "{%" in json.dumps(each.properties)
    }
    assert billed == {"Backbone/EventLog/Subscriber", "Analytics/Activity/Subscriber"}


def test_an_unknown_kind_of_bus_is_an_error_that_lists_the_kinds() -> None:
    with pytest.raises(ValueError, match="no kind of bus 'loud': choose one of classic, custom"):
        environment_named("dev", bus="loud")
