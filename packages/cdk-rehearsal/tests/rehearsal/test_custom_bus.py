"""The Custom Event Bus: publishing, subscribers, their targets, retries, dead letters, replays."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, UnsupportedTemplateError
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

ORDERS = {"source": ["shop.orders"]}
ECHO = "import json\ndef handler(event, context): print(json.dumps(event))"
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture
def bus(template: Cloud) -> Cloud:
    """A bus, a queue that may be a target, one for dead letters, and a role for both."""
    template.add("Bus", "AWS::EventsV2::EventBus", Name="bus")
    template.add("Queue", "AWS::SQS::Queue")
    template.add("DeadLetters", "AWS::SQS::Queue")
    template.role("Role")
    return template


def subscriber(cloud: Cloud, logical_id: str = "Subscriber", **changes: Any) -> str:
    """Add a subscriber to the queue; give the name of a target's logical id as ``target``."""
    target = changes.pop("target", arn("Queue"))
    parameters = changes.pop("parameters", {})
    return cloud.add(
        logical_id,
        "AWS::EventsV2::Subscriber",
        **{
            "Name": logical_id,
            "EventBusArn": ref("Bus"),
            "InvokeConfiguration": {"TargetArn": target, "RoleArn": arn("Role"), **parameters},
            **changes,
        },
    )


def data(pattern: dict[str, Any]) -> dict[str, Any]:
    """Return a filter on the payload."""
    return {"Filters": [{"Scope": "DATA", "Pattern": json.dumps(pattern)}]}


def event(**changes: Any) -> dict[str, Any]:
    return {
        "Source": "shop.orders",
        "DetailType": "OrderPlaced.v1",
        "Detail": json.dumps({"order": "o-1"}),
        **changes,
    }


def publish(shop: Rehearsal, *entries: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = shop.client("eventbridgev2").put_events(
        EventBusArn=shop.physical_id("Shop/Bus"), Entries=list(entries) or [event()], **options
    )
    shop.run_until_idle()
    return answer


def bodies(shop: Rehearsal, path: str = "Shop/Queue") -> list[str]:
    return [message["body"] for message in shop.messages(path)]


def orders(shop: Rehearsal, path: str = "Shop/Queue") -> list[str]:
    return [json.loads(body)["detail"]["order"] for body in bodies(shop, path)]


def numbered(*numbers: int, **changes: Any) -> list[dict[str, Any]]:
    return [event(Detail=json.dumps({"order": f"o-{n}"}), **changes) for n in numbers]


# -- publishing -----------------------------------------------------------------------------


def test_an_event_reaches_the_queue_of_a_subscriber_in_its_envelope(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-publish.html"""
    bus.add("Other", "AWS::SQS::Queue")
    subscriber(bus, FilterConfiguration=data(ORDERS))
    subscriber(bus, "Never", target=arn("Other"), FilterConfiguration=data({"source": ["x"]}))
    shop = rehearse()
    answer = publish(shop, event(Resources=["arn:aws:x"]))
    assert answer["FailedEntryCount"] == 0
    assert answer["Entries"][0]["SuccessCode"] == "PUBLISHED"
    (body,) = bodies(shop)
    assert json.loads(body) == {
        "version": "0",
        "id": answer["Entries"][0]["EventId"],
        "detail-type": "OrderPlaced.v1",
        "source": "shop.orders",
        "account": "123456789012",
        "time": "2026-01-05T08:00:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:x"],
        "detail": {"order": "o-1"},
    }
    assert bodies(shop, "Shop/Other") == []
    assert [(r.kind, r.source, r.target) for r in shop.meter.records] == [
        ("published", "outside", "Shop/Bus"),
        ("delivery", "Shop/Subscriber", "Shop/Queue"),
    ]


@pytest.mark.parametrize("changes", [{"Detail": "{"}, {"Source": "aws.orders"}])
def test_a_wrong_entry_fails_alone(bus: Cloud, rehearse: Rehearse, changes: dict[str, str]) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-publish.html"""
    subscriber(bus)
    shop = rehearse()
    answer = publish(shop, event(), event(**changes), event())
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][1]["ErrorCode"] == "VALIDATION_ERROR"
    assert len(bodies(shop)) == 2


@pytest.mark.parametrize(
    "entries",
    [
        [event()] * 101,
        [event(DetailType="x" * 129)],
        [event(SystemMetadata={"EventGroupId": "x" * 129})],
    ],
)
def test_a_request_outside_the_limits_of_the_model_fails_as_a_whole(
    bus: Cloud, rehearse: Rehearse, entries: list[dict[str, Any]]
) -> None:
    """https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_PutEvents.html"""
    subscriber(bus)
    shop = rehearse()
    client = shop.client("eventbridgev2")
    with pytest.raises(client.exceptions.InvalidInputException):
        publish(shop, event(), *entries)
    assert bodies(shop) == []


def test_a_hundred_entries_are_published_at_once(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""
    subscriber(bus)
    shop = rehearse()
    publish(shop, *numbered(*range(100)))
    assert len(orders(shop)) == 100


def test_an_unknown_bus_is_an_error(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_PutEvents.html"""
    shop = rehearse()
    client = shop.client("eventbridgev2")
    unknown = shop.physical_id("Shop/Bus")[:-25] + "x" * 25
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.put_events(EventBusArn=unknown, Entries=[event()])


def test_raw_events_are_delivered_as_they_were_sent(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-publish.html"""
    subscriber(bus)
    shop = rehearse()
    client, bus_arn = shop.client("eventbridgev2"), shop.physical_id("Shop/Bus")
    answer = client.put_raw_events(
        EventBusArn=bus_arn,
        Entries=[
            {"Data": b'{"a":  1}', "SystemMetadata": {"ContentType": "application/json"}},
            {"Data": b"{", "SystemMetadata": {"ContentType": "application/json"}},
            {"Data": b"hello", "SystemMetadata": {"ContentType": "application/octet-stream"}},
        ],
    )
    shop.run_until_idle()
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "VALIDATION_ERROR",
        None,
    ]
    assert bodies(shop) == ['{"a":  1}', "aGVsbG8="]


def test_a_repeated_id_is_a_duplicate_for_five_minutes_within_its_group(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-ordering.html"""
    subscriber(bus)
    shop = rehearse()

    def codes(*entries: dict[str, Any]) -> list[str]:
        return [entry["SuccessCode"] for entry in publish(shop, *entries)["Entries"]]

    once = event(SystemMetadata={"DeduplicationId": "e-1"})
    grouped = event(SystemMetadata={"DeduplicationId": "e-1", "EventGroupId": "g"})
    assert codes(once, once, grouped) == ["PUBLISHED", "DEDUPLICATED", "PUBLISHED"]
    shop.run_for(299)
    assert codes(once) == ["DEDUPLICATED"]
    shop.run_for(1)
    assert codes(once, event(), event()) == ["PUBLISHED"] * 3
    assert len(bodies(shop)) == 5


def test_the_content_can_tell_duplicates(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-ordering.html"""
    subscriber(bus)
    shop = rehearse()
    answer = publish(
        shop,
        *numbered(1, 1, 2),
        DeduplicationConfiguration={"DeduplicationType": "CONTENT_BASED"},
    )
    codes = [entry["SuccessCode"] for entry in answer["Entries"]]
    assert codes == ["PUBLISHED", "DEDUPLICATED", "PUBLISHED"]
    assert orders(shop) == ["o-1", "o-2"]


# -- filters --------------------------------------------------------------------------------


def test_an_event_has_to_match_the_filters_of_all_scopes(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-filtering.html"""
    filters = [
        {"Scope": "DATA", "Pattern": json.dumps({"amount": [{"numeric": [">", 500]}]})},
        {"Scope": "METADATA", "Pattern": json.dumps({"region": ["EU"]})},
        {"Scope": "SYSTEM_METADATA", "Pattern": json.dumps({"EventGroupId": [{"prefix": "g"}]})},
    ]
    subscriber(bus, FilterConfiguration={"Filters": filters})
    shop = rehearse()

    def raw(amount: int, region: str, group: str) -> dict[str, Any]:
        return {
            "Data": json.dumps({"amount": amount}).encode(),
            "Metadata": {"region": region},
            "SystemMetadata": {"ContentType": "application/json", "EventGroupId": group},
        }

    shop.client("eventbridgev2").put_raw_events(
        EventBusArn=shop.physical_id("Shop/Bus"),
        Entries=[
            raw(501, "EU", "g1"),
            raw(500, "EU", "g1"),
            raw(501, "US", "g"),
            raw(501, "EU", "x"),
        ],
    )
    publish(shop)
    assert bodies(shop) == ['{"amount": 501}']


def test_the_source_is_a_part_of_the_system_metadata(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-addressing.html"""
    pattern = {"aws:Source": ["shop.orders"], "ContentType": ["application/eventbridge+json"]}
    filters = [{"Scope": "SYSTEM_METADATA", "Pattern": json.dumps(pattern)}]
    subscriber(bus, FilterConfiguration={"Filters": filters})
    shop = rehearse()
    publish(shop, event(), event(Source="shop.payments"))
    assert len(bodies(shop)) == 1


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ([("DATA", {"source": [{"wildcard": "a*"}]})], "does not support wildcard"),
        ([("DATA", {"source": [{"anything-but": {"wildcard": "a*"}}]})], "anything-but with"),
        ([("METADATA", {"tenant": [{"prefix": "a"}]})], "no array of exact values"),
        ([("DATA", {"source": ["a"]}), ("DATA", {"source": ["a"]})], "two filters"),
        ([("DATA", {"source": ["a" * 2100]}), ("METADATA", {"a": ["a" * 2100]})], "4096"),
        ([("DATA", ["a"])], "no JSON object"),
        ([], "valid min length: 1"),
    ],
)
def test_filters_that_eventbridge_refuses_are_errors(
    bus: Cloud, rehearse: Rehearse, filters: list[tuple[str, Any]], problem: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-filtering.html"""
    stated = [{"Scope": scope, "Pattern": json.dumps(pattern)} for scope, pattern in filters]
    subscriber(bus, FilterConfiguration={"Filters": stated})
    with pytest.raises(UnsupportedTemplateError, match=problem):
        rehearse()


# -- transformers ---------------------------------------------------------------------------


def test_a_target_can_get_the_metadata_too(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-transform.html"""
    subscriber(bus, Transformer={"Type": "WITH_METADATA"})
    shop = rehearse()
    answer = publish(shop, event(SystemMetadata={"EventGroupId": "g"}))
    (body,) = map(json.loads, bodies(shop))
    assert body["Data"]["detail"] == {"order": "o-1"}
    assert body["Metadata"] == {}
    assert body["SystemMetadata"] == {
        "ContentType": "application/eventbridge+json",
        "EventGroupId": "g",
        "aws:DeliveryType": "LIVE",
        "aws:DetailType": "OrderPlaced.v1",
        "aws:EventId": answer["Entries"][0]["EventId"],
        "aws:IngestionTime": "2026-01-05T08:00:00.000Z",
        "aws:SequenceNumber": answer["Entries"][0]["SequenceNumber"],
        "aws:Source": "shop.orders",
    }


@pytest.mark.parametrize(
    ("expression", "body"),
    [
        ("{% $events.Data.detail.order %}", "o-1"),
        ('{% {"id": $events.Data.detail.order} %}', '{"id":"o-1"}'),
        ("{% 1 + 1 %}", "2"),
        ('{% $events.SystemMetadata."aws:DeliveryType" %}', "LIVE"),
        ('{% $hash("a", "MD5") %}', "0cc175b9c0f1b6a831c399e269772661"),
    ],
)
def test_a_target_can_get_the_result_of_an_expression(
    bus: Cloud, rehearse: Rehearse, expression: str, body: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-transform.html"""
    transformer = {"Type": "JSONATA", "JsonataConfiguration": {"Expression": expression}}
    subscriber(bus, Transformer=transformer)
    shop = rehearse()
    publish(shop)
    assert bodies(shop) == [body]


@pytest.mark.parametrize("expression", ["{% null %}", "{% $events.Data.no %}", "{% 1 + 'a' %}"])
def test_an_expression_without_a_result_fails_the_delivery_of_its_event(
    bus: Cloud, rehearse: Rehearse, expression: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-transform.html"""
    subscriber(
        bus,
        Transformer={"Type": "JSONATA", "JsonataConfiguration": {"Expression": expression}},
        RetryPolicy={"MaxRetryAttempts": 0},
        OnFailureConfiguration={"Arn": arn("DeadLetters")},
    )
    shop = rehearse()
    publish(shop)
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    assert record["errorCode"] == "INPUT_TRANSFORMATION_FAILURE"
    assert bodies(shop) == []
    assert value(shop, "EventTransformationFailures") == 1


@pytest.mark.parametrize(
    "transformer",
    [
        {"Type": "JSONATA", "JsonataConfiguration": {"Expression": "{% ( %}"}},
        {"Type": "JSONATA", "JsonataConfiguration": {"Expression": "$events"}},
        {"Type": "JSONATA"},
        {"Type": "RAW", "JsonataConfiguration": {"Expression": "{% 1 %}"}},
        {"Type": "XML"},
    ],
)
def test_a_transformer_that_eventbridge_refuses_is_an_error(
    bus: Cloud, rehearse: Rehearse, transformer: dict[str, Any]
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-transform.html"""
    subscriber(bus, Transformer=transformer)
    with pytest.raises(UnsupportedTemplateError, match="InvalidInputException"):
        rehearse()


# -- retries and dead letters ---------------------------------------------------------------


def value(shop: Rehearsal, name: str, path: str = "Shop/Subscriber") -> float:
    """Return the sum of a metric of a subscriber."""
    shop.metrics.refresh()
    dimensions = {
        "EventBus": shop.physical_id("Shop/Bus"),
        "Subscriber": shop.physical_id(path),
    }
    return sum(shop.metrics.series("AWS/EventsV2", name, dimensions).values)


def test_a_failed_delivery_is_retried_until_it_succeeds(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    subscriber(bus)
    shop = rehearse()
    shop.faults.fail("Shop/Queue", times=5, when="delivery")
    publish(shop)
    assert orders(shop) == ["o-1"]
    assert value(shop, "EventDeliveryAttempts") == 6
    assert value(shop, "EventsDelivered") == 1


def test_after_five_retries_an_event_is_dropped_with_nothing_but_a_metric(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    subscriber(bus)
    shop = rehearse()
    shop.faults.fail("Shop/Queue", times=6, when="delivery")
    publish(shop)
    assert bodies(shop) == []
    assert value(shop, "EventsDropped") == 1
    (lost,) = shop.meter.of("discarded")
    assert lost.detail["condition"] == "MaximumRetryAttempts"


def test_an_event_is_retried_for_five_minutes_by_default(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    subscriber(bus, RetryPolicy={"MaxRetryAttempts": 185})
    shop = rehearse()
    shop.faults.fail("Shop/Queue", times=None, when="delivery")
    publish(shop)
    (lost,) = shop.meter.of("discarded")
    assert lost.detail["condition"] == "MaximumEventAgeInSeconds"
    assert 60 < lost.time - START.timestamp() <= 300


def test_a_day_of_retries_has_to_be_stated(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-migrate.html"""
    limits = {"MaxRetryAttempts": 185, "MaxEventAgeInSeconds": 86_400}
    subscriber(bus, RetryPolicy=limits)
    shop = rehearse()
    shop.faults.fail("Shop/Queue", times=None, when="delivery")
    shop.client("eventbridgev2").put_events(
        EventBusArn=shop.physical_id("Shop/Bus"), Entries=[event()]
    )
    shop.run_for(20 * 3600)
    shop.faults.clear()
    shop.run_until_idle()
    assert orders(shop) == ["o-1"]


def test_a_dead_letter_record_names_events_and_has_no_payload(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    subscriber(bus, OnFailureConfiguration={"Arn": arn("DeadLetters")})
    shop = rehearse()
    shop.faults.fail("Shop/Queue", times=None, when="delivery")
    answer = publish(
        shop, event(SystemMetadata={"EventGroupId": "g", "DeduplicationId": "d"}), event()
    )
    (message,) = shop.messages("Shop/DeadLetters")
    assert json.loads(message["body"]) == {
        "version": "1.0",
        "busArn": shop.physical_id("Shop/Bus"),
        "subscriberArn": shop.physical_id("Shop/Subscriber"),
        "targetArn": shop.resource("Shop/Queue").attributes["Arn"],
        "errorCode": "INVOCATION_DEPENDENCY_INTERNAL",
        "errorMessage": "Shop/Queue",
        "exhaustedRetryCondition": "MaximumRetryAttempts",
        "retryAttempts": 5,
        "failedMessages": [
            {
                "eventId": answer["Entries"][0]["EventId"],
                "eventGroupId": "g",
                "deduplicationId": "d",
                "timestamp": "2026-01-05T08:00:00Z",
                "targetRequestId": "",
            },
            {
                "eventId": answer["Entries"][1]["EventId"],
                "eventGroupId": None,
                "deduplicationId": None,
                "timestamp": "2026-01-05T08:00:00Z",
                "targetRequestId": "",
            },
        ],
    }
    assert message["attributes"]["ERROR_CODE"] == "INVOCATION_DEPENDENCY_INTERNAL"
    assert message["attributes"]["RETRY_ATTEMPTS"] == "5"
    assert value(shop, "OnFailureDestinationDelivered") == 1
    assert shop.dead_letter_queues() == ["Shop/DeadLetters"]


def test_a_role_that_may_not_write_to_the_dead_letter_queue_loses_the_event(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    bus.role("Role", {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn("Queue")})
    subscriber(bus, OnFailureConfiguration={"Arn": arn("DeadLetters")})
    shop = rehearse()
    shop.faults.fail("Shop/Queue", times=None, when="delivery")
    publish(shop)
    assert bodies(shop, "Shop/DeadLetters") == []
    assert value(shop, "OnFailureDestinationFailed") == 1
    assert value(shop, "EventsDropped") == 0
    (lost,) = shop.meter.of("discarded")
    assert lost.detail["refused"]


@pytest.mark.parametrize("denied", ["action", "trust"])
def test_a_role_that_may_not_send_is_retried_and_then_recorded(
    bus: Cloud, rehearse: Rehearse, denied: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-subscribers.html"""
    may = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn("DeadLetters")}
    bus.role("Role", may)
    if denied == "trust":
        trust = bus.resources["Role"]["Properties"]["AssumeRolePolicyDocument"]
        trust["Statement"][0]["Principal"] = {"Service": "lambda.amazonaws.com"}
    subscriber(bus, OnFailureConfiguration={"Arn": arn("DeadLetters")})
    shop = rehearse()
    publish(shop)
    if denied == "trust":
        assert bodies(shop, "Shop/DeadLetters") == []
        return
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    assert (record["errorCode"], record["retryAttempts"]) == ("ACCESS_DENIED", 5)


def test_what_is_wrong_for_good_is_retried_as_well(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    subscriber(bus, OnFailureConfiguration={"Arn": arn("DeadLetters")})
    shop = rehearse()
    shop.client("sqs").delete_queue(QueueUrl=shop.physical_id("Shop/Queue"))
    shop.faults.plan(_gone(), target="Shop/Queue")
    publish(shop)
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    assert (record["errorCode"], record["retryAttempts"]) == ("RESOURCE_NOT_FOUND", 5)


def _gone() -> Any:
    from cdk_rehearsal.faults import FAULTS

    return FAULTS["gone"]
