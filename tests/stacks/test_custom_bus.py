"""A stage on the Custom Event Bus: the same routes as on the classic bus, and as durable."""

import json
import pickle
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import edges, losses
from stacks.environment import PROD, environment_named
from tests.stacks.hops import routes
from tests.support.routing import proof

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


def test_every_event_reaches_its_consumers_and_no_pattern_or_grant_is_wrong(
    custom: Assembly,
) -> None:
    examination = proof(custom)
    assert [*map(str, examination.findings())] == []
    assert examination.consumers("OrderConfirmed.v2") == [
        "Notifications/AddressCustomer/Function",
        "Returns/KeepOrder/Function",
        "Shipping/RequestShipment/Function",
    ]
    assert "Notifications/SendSms/Function" in examination.consumers("NotificationRequested.v1")


@pytest.fixture
def scratch(custom: Assembly) -> Assembly:
    """A copy of the templates that a test may break."""
    found: Assembly = pickle.loads(pickle.dumps(custom))
    return found


def filter_of(shop: Assembly, path: str) -> dict[str, Any]:
    """The mutable filter of a subscriber."""
    properties = shop.at(path).properties
    found: dict[str, Any] = properties["FilterConfiguration"]["Filters"][0]
    return found


def test_a_misspelt_event_in_the_filter_of_a_subscriber_is_found(scratch: Assembly) -> None:
    stated = filter_of(scratch, "Checkout/RunCheckout/Subscriber")
    stated["Pattern"] = stated["Pattern"].replace("OrderPlaced.v2", "OrderPlacd.v2")
    assert (
        "Checkout/RunCheckout/Subscriber: detail-type 'OrderPlacd.v2' is that of no event that "
        "gets here; did you mean OrderPlaced.v2?"
    ) in [str(finding) for finding in proof(scratch).dead_patterns()]


def test_a_filter_that_the_proof_cannot_read_is_an_error(scratch: Assembly) -> None:
    filter_of(scratch, "Checkout/RunCheckout/Subscriber")["Scope"] = "METADATA"
    with pytest.raises(NotImplementedError, match="filters on METADATA"):
        proof(scratch).findings()


def test_a_relay_that_may_publish_on_no_bus_is_found(scratch: Assembly) -> None:
    policy = scratch.at("Orders/Orders/RelayRole/DefaultPolicy").properties["PolicyDocument"]
    policy["Statement"] = [s for s in policy["Statement"] if s["Action"] != "events:PutEvents"]
    unwritten = [str(finding) for finding in proof(scratch).unwritten()]
    assert any("may write to no table with a relay to the bus" in each for each in unwritten)
