"""The Custom Event Bus: publishing, subscribers, their targets, retries, dead letters, replays."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cdk_rehearsal import FAULTS, Rehearsal, RehearsalError, UnsupportedTemplateError, check
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse
from rehearsal.crossing import crosses

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


@crosses("eventbridgev2.put_entries")
def test_a_hundred_entries_are_published_at_once_and_no_more(
    bus: Cloud, rehearse: Rehearse
) -> None:
    subscriber(bus)
    shop = rehearse()
    with pytest.raises(shop.client("eventbridgev2").exceptions.InvalidInputException):
        publish(shop, *numbered(*range(101)))
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
    """One is not valid.

    https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_PutRawEvents.html
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-open-formats.html
    """
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


@pytest.mark.parametrize("rule", [{"wildcard": "shop.*"}, {"anything-but": {"wildcard": "a*"}}])
def test_a_check_names_the_subscriber_whose_filter_has_a_wildcard(
    bus: Cloud, rule: dict[str, Any]
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-filtering.html"""
    subscriber(bus)
    subscriber(bus, "Ported", FilterConfiguration=data({"source": ["a", rule]}))
    (found,) = map(str, check(bus.write()))
    assert "Ported (AWS::EventsV2::Subscriber)" in found
    assert "wildcard: use prefix, suffix or equals-ignore-case" in found


@crosses("eventbridgev2.filter_bytes")
@pytest.mark.parametrize("size", [4096, 4097])
def test_all_filters_of_a_subscriber_have_a_size_together(
    bus: Cloud, rehearse: Rehearse, size: int
) -> None:
    patterns = [f'{{"a": ["{"x" * length}"]}}' for length in (2000, size - 2000 - 22)]
    assert sum(map(len, patterns)) == size
    stated = zip(("DATA", "METADATA"), patterns, strict=True)
    filters = [{"Scope": scope, "Pattern": pattern} for scope, pattern in stated]
    subscriber(bus, FilterConfiguration={"Filters": filters})
    if size == 4096:
        rehearse()
    else:
        with pytest.raises(UnsupportedTemplateError, match="have 4097 bytes: at most 4096"):
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
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-observability.html"""
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


@crosses("eventbridgev2.batch_bytes")
@pytest.mark.parametrize(("size", "calls"), [(131_072, 1), (131_073, 2)])
def test_a_call_of_a_queue_carries_a_number_of_bytes(
    bus: Cloud, rehearse: Rehearse, size: int, calls: int
) -> None:
    subscriber(bus, OnFailureConfiguration={"Arn": arn("DeadLetters")})
    shop = rehearse()
    shop.faults.fail("Shop/Queue", times=None, when="delivery")
    entry = {
        "Data": f'"{"x" * (size - 2)}"',
        "SystemMetadata": {"ContentType": "application/json"},
    }
    shop.client("eventbridgev2").put_raw_events(
        EventBusArn=shop.physical_id("Shop/Bus"), Entries=[entry, entry]
    )
    shop.run_until_idle()
    assert len(bodies(shop, "Shop/DeadLetters")) == calls


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


# -- retention, starting positions, pauses --------------------------------------------------


def again(shop: Rehearsal, **changes: Any) -> str:
    """Create a subscriber by the API, as one for a redrive; return its ARN."""
    created = shop.client("eventbridgev2").create_subscriber(
        **{
            "Name": "Again",
            "EventBusArn": shop.physical_id("Shop/Bus"),
            "InvokeConfiguration": {
                "TargetArn": shop.resource("Shop/Queue").attributes["Arn"],
                "RoleArn": shop.resource("Shop/Role").attributes["Arn"],
            },
            **changes,
        }
    )
    shop.run_until_idle()
    return str(created["SubscriberArn"])


def from_(point: float | None, end: float | None = None) -> dict[str, Any]:
    """Return a starting position: seconds after the start, or the horizon."""
    start = START.timestamp()
    chosen: dict[str, Any] = {"PointType": "HORIZON"}
    if point is not None:
        chosen = {"PointType": "TIMESTAMP", "StartingPoint": start + point}
    if end is not None:
        chosen["EndPoint"] = start + end
    return {"StartingPosition": "POINT_IN_TIME", "PointInTimeConfiguration": chosen}


@pytest.fixture
def five(bus: Cloud, rehearse: Rehearse) -> Rehearsal:
    """A bus with five events, ten seconds apart, and no subscriber."""
    shop = rehearse()
    for number in range(5):
        publish(shop, *numbered(number))
        shop.run_for(10)
    return shop


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ({}, []),
        ({"StartingPosition": "LATEST"}, []),
        (from_(None), [0, 1, 2, 3, 4]),
        (from_(15), [2, 3, 4]),
        (from_(10, 30), [1, 2]),
    ],
)
def test_a_new_subscriber_gets_retained_events_from_its_starting_position(
    five: Rehearsal, position: dict[str, Any], expected: list[int]
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-replay.html"""
    again(five, **position)
    assert orders(five) == [f"o-{number}" for number in expected]


def test_a_replay_without_an_end_goes_on_with_new_events(five: Rehearsal) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-replay.html"""
    expression = '{% $events.SystemMetadata."aws:DeliveryType" %}'
    transformer = {"Type": "JSONATA", "JsonataConfiguration": {"Expression": expression}}
    again(five, Transformer=transformer, **from_(30))
    publish(five, *numbered(5))
    assert bodies(five) == ["REPLAY", "REPLAY", "LIVE"]


def test_a_replay_with_an_end_gets_no_new_events(five: Rehearsal) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-replay.html"""
    again(five, **from_(30, 60))
    publish(five, *numbered(5))
    five.run_for(10)
    publish(five, *numbered(6))
    assert orders(five) == ["o-3", "o-4", "o-5"]


@pytest.mark.parametrize(
    ("position", "problem"),
    [
        (from_(-1), "falls outside the bus's retention window"),
        (from_(3600), "must not be in the future"),
        ({"StartingPosition": "POINT_IN_TIME"}, "PointInTimeConfiguration is required"),
        (from_(0) | {"StartingPosition": "LATEST"}, "must not be provided"),
        (
            {
                "StartingPosition": "POINT_IN_TIME",
                "PointInTimeConfiguration": {"PointType": "TIMESTAMP"},
            },
            "StartingPoint is required",
        ),
    ],
)
def test_a_starting_position_outside_of_the_window_is_an_error(
    five: Rehearsal, position: dict[str, Any], problem: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-replay.html"""
    with pytest.raises(
        five.client("eventbridgev2").exceptions.InvalidInputException, match=problem
    ):
        again(five, **position)


@pytest.mark.parametrize(("stated", "days"), [({}, 1), ({"RetentionPeriodInDays": 3}, 3)])
def test_the_bus_retains_events_for_a_day_or_as_stated(
    bus: Cloud, rehearse: Rehearse, stated: dict[str, int], days: int
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-create.html"""
    if stated:
        bus.resources["Bus"]["Properties"]["StorageConfiguration"] = stated
    shop = rehearse()
    publish(shop, *numbered(1))
    shop.run_for(days * 86_400 - 60)
    publish(shop, *numbered(2))
    again(shop, Name="First", **from_(None))
    assert orders(shop) == ["o-1", "o-2"]
    shop.run_for(120)
    again(shop, Name="Second", **from_(None))
    assert orders(shop) == ["o-1", "o-2", "o-2"]
    described = shop.client("eventbridgev2").describe_event_bus(
        EventBusArn=shop.physical_id("Shop/Bus")
    )
    window = described["StorageConfiguration"]["RetentionWindowStartTime"]
    assert (window - START).total_seconds() == 60


@pytest.mark.parametrize("days", [0, 366])
def test_a_bus_retains_events_from_one_day_to_a_year(
    bus: Cloud, rehearse: Rehearse, days: int
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""
    bus.resources["Bus"]["Properties"]["StorageConfiguration"] = {"RetentionPeriodInDays": days}
    with pytest.raises(UnsupportedTemplateError, match="RetentionPeriodInDays"):
        rehearse()


@crosses("eventbridgev2.buses")
@pytest.mark.parametrize(("quotas", "most"), [({}, 5), ({"eventbridgev2.buses": 6}, 6)])
def test_an_account_has_five_buses_or_its_own_quota(
    bus: Cloud, rehearse: Rehearse, quotas: dict[str, int], most: int
) -> None:
    client = rehearse(quotas=quotas).client("eventbridgev2")
    for number in range(1, most):
        client.create_event_bus(Name=f"bus{number}")
    with pytest.raises(client.exceptions.LimitExceededException, match=f"There are {most}"):
        client.create_event_bus(Name="another")


@crosses("eventbridgev2.sources")
def test_an_account_has_a_number_of_event_sources(bus: Cloud, rehearse: Rehearse) -> None:
    shop = rehearse(quotas={"eventbridgev2.sources": 1})
    client = shop.client("eventbridgev2")

    def create(name: str) -> None:
        client.create_event_source(
            Name=name,
            EventBusArn=shop.physical_id("Shop/Bus"),
            Configuration={"AwsServiceEventsConfiguration": {"AwsService": "aws.s3"}},
        )

    create("one")
    with pytest.raises(client.exceptions.LimitExceededException, match="There are 1"):
        create("two")


@pytest.mark.parametrize("kind", ["bus", "subscriber"])
def test_a_repeated_creation_with_the_same_token_creates_nothing(
    bus: Cloud, rehearse: Rehearse, kind: str
) -> None:
    """Another resource with the same token is refused.

    https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_CreateEventBus.html
    https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_CreateSubscriber.html
    """
    shop = rehearse()
    client = shop.client("eventbridgev2")

    def create(name: str) -> str:
        if kind == "bus":
            made: str = client.create_event_bus(Name=name, ClientToken="t")["EventBusArn"]
            return made
        return again(shop, Name=name, ClientToken="t")

    first = create("one")
    assert create("one") == first
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        create("two")


def state(shop: Rehearsal, value: str, **options: Any) -> None:
    shop.client("eventbridgev2").update_subscriber(
        SubscriberArn=shop.physical_id("Shop/Subscriber"), State=value, **options
    )
    shop.run_until_idle()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["o-1", "o-2", "o-3", "o-4"]),
        ({"ResumePosition": "LAST_PROCESSED"}, ["o-1", "o-2", "o-3", "o-4"]),
        ({"ResumePosition": "LATEST"}, ["o-1", "o-4"]),
    ],
)
def test_a_stopped_subscriber_resumes_with_or_without_its_backlog(
    bus: Cloud, rehearse: Rehearse, options: dict[str, str], expected: list[str]
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-update.html"""
    bus.resources["Bus"]["Properties"]["StorageConfiguration"] = {"RetentionPeriodInDays": 3}
    subscriber(bus)
    shop = rehearse()
    publish(shop, *numbered(1))
    state(shop, "STOPPED")
    publish(shop, *numbered(2, 3))
    shop.run_for(2 * 86_400)
    assert orders(shop) == ["o-1"]
    state(shop, "RUNNING", **options)
    publish(shop, *numbered(4))
    assert orders(shop) == expected


def test_a_pause_longer_than_the_retention_loses_events(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-update.html"""
    subscriber(bus, State="STOPPED")
    shop = rehearse()
    publish(shop, *numbered(1))
    shop.run_for(2 * 86_400)
    publish(shop, *numbered(2))
    state(shop, "RUNNING")
    assert orders(shop) == ["o-2"]


def test_what_waits_for_a_retry_waits_for_the_end_of_a_pause(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-update.html"""
    subscriber(bus)
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery")
    shop.client("eventbridgev2").put_events(
        EventBusArn=shop.physical_id("Shop/Bus"), Entries=numbered(1)
    )
    shop.run_for(0.1)
    state(shop, "STOPPED")
    shop.run_for(60)
    assert orders(shop) == []
    state(shop, "RUNNING")
    assert orders(shop) == ["o-1"]


def test_an_update_replaces_the_blocks_that_it_gives_and_no_others(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-update.html"""
    limits = {"MaxRetryAttempts": 185, "MaxEventAgeInSeconds": 86_400}
    subscriber(bus, FilterConfiguration=data(ORDERS), RetryPolicy=limits)
    shop = rehearse()
    client, arn_ = shop.client("eventbridgev2"), shop.physical_id("Shop/Subscriber")
    client.update_subscriber(SubscriberArn=arn_, RetryPolicy={"MaxRetryAttempts": 7})
    described = client.describe_subscriber(SubscriberArn=arn_)
    assert described["RetryPolicy"] == {"MaxRetryAttempts": 7}
    assert described["FilterConfiguration"]["Filters"][0]["Scope"] == "DATA"
    client.update_subscriber(SubscriberArn=arn_, FilterConfiguration={})
    assert "FilterConfiguration" not in client.describe_subscriber(SubscriberArn=arn_)
    publish(shop, event(Source="shop.payments"))
    assert len(bodies(shop)) == 1


@crosses("eventbridgev2.filter_changes")
def test_filters_change_at_most_24_times_in_a_day(bus: Cloud, rehearse: Rehearse) -> None:
    subscriber(bus)
    shop = rehearse()
    client = shop.client("eventbridgev2")

    def change(number: int) -> None:
        client.update_subscriber(
            SubscriberArn=shop.physical_id("Shop/Subscriber"),
            FilterConfiguration=data({"source": [f"s{number}"]}),
        )

    for number in range(24):
        change(number)
    change(23)
    with pytest.raises(client.exceptions.LimitExceededException, match="FILTER_CHANGE"):
        change(24)
    shop.run_for(86_400)
    change(24)


def test_a_revoked_subscriber_delivers_nothing_and_cannot_be_changed(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-access-revoke.html"""
    subscriber(bus)
    shop = rehearse()
    client, arn_ = shop.client("eventbridgev2"), shop.physical_id("Shop/Subscriber")
    client.revoke_resource(Arn=arn_)
    publish(shop)
    assert bodies(shop) == []
    assert client.describe_subscriber(SubscriberArn=arn_)["Revoked"]
    with pytest.raises(client.exceptions.InvalidStateException):
        client.update_subscriber(SubscriberArn=arn_, State="STOPPED")
    client.delete_subscriber(SubscriberArn=arn_)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_subscriber(SubscriberArn=arn_)


def test_a_bus_with_subscribers_cannot_be_deleted(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-create.html"""
    subscriber(bus)
    shop = rehearse()
    client, bus_arn = shop.client("eventbridgev2"), shop.physical_id("Shop/Bus")
    with pytest.raises(client.exceptions.ResourceInUseException):
        client.delete_event_bus(EventBusArn=bus_arn)
    client.delete_subscriber(SubscriberArn=shop.physical_id("Shop/Subscriber"))
    client.delete_event_bus(EventBusArn=bus_arn)
    assert client.list_event_buses()["EventBuses"] == []


def test_a_dead_letter_record_says_what_a_redrive_has_to_replay(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    subscriber(bus, OnFailureConfiguration={"Arn": arn("DeadLetters")})
    shop = rehearse()
    publish(shop, *numbered(1))
    shop.run_for(60)
    shop.faults.fail("Shop/Queue", times=6, when="delivery")
    publish(shop, *numbered(2))
    shop.run_for(60)
    publish(shop, *numbered(3))
    assert orders(shop) == ["o-1", "o-3"]
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    (lost,) = record["failedMessages"]
    moment = datetime.fromisoformat(lost["timestamp"]).timestamp() - START.timestamp()
    pattern = json.dumps({"aws:EventId": [lost["eventId"]]})
    filters = {"Filters": [{"Scope": "SYSTEM_METADATA", "Pattern": pattern}]}
    again(shop, FilterConfiguration=filters, **from_(moment, moment + 1))
    assert orders(shop) == ["o-1", "o-3", "o-2"]


# -- order ----------------------------------------------------------------------------------


def in_group(group: str, *numbers: int) -> list[dict[str, Any]]:
    return numbered(*numbers, SystemMetadata={"EventGroupId": group})


def test_a_fifo_subscriber_keeps_the_order_of_a_group_while_an_event_is_late(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-ordering.html"""
    subscriber(bus, Type="FIFO")
    shop = rehearse()
    from cdk_rehearsal.faults import FAULTS

    shop.faults.plan(FAULTS["late"], source="Shop/Subscriber", times=1)
    publish(shop, *in_group("a", 1, 2), *in_group("b", 3))
    assert orders(shop) == ["o-3", "o-1", "o-2"]


def test_an_event_that_fails_holds_up_its_group_until_it_is_given_up(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    subscriber(
        bus,
        Type="FIFO",
        BatchConfiguration={"MaxBatchSize": 1},
        OnFailureConfiguration={"Arn": arn("DeadLetters")},
    )
    shop = rehearse()
    shop.faults.fail("Shop/Queue", times=1, when="delivery")
    publish(shop, *in_group("a", 1, 2), *in_group("b", 3, 4))
    assert orders(shop) == ["o-3", "o-4", "o-1", "o-2"]
    shop.faults.fail("Shop/Queue", times=6, when="delivery")
    publish(shop, *in_group("a", 5))
    publish(shop, *in_group("a", 6))
    assert orders(shop)[4:] == ["o-6"]
    assert len(bodies(shop, "Shop/DeadLetters")) == 1


def test_an_unordered_subscriber_lets_events_overtake(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-ordering.html"""
    subscriber(bus, BatchConfiguration={"MaxBatchSize": 1})
    shop = rehearse()
    shop.faults.fail("Shop/Queue", times=1, when="delivery")
    publish(shop, *in_group("a", 1, 2))
    assert orders(shop) == ["o-2", "o-1"]


def test_a_fifo_queue_takes_group_and_id_from_the_event(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-sqs.html"""
    bus.add("Fifo", "AWS::SQS::Queue", FifoQueue=True)
    parameters = {
        "MessageGroupId": "{% $events.SystemMetadata.EventGroupId %}",
        "MessageDeduplicationId": '{% $events.SystemMetadata."aws:EventId" %}',
    }
    subscriber(bus, Type="FIFO", target=arn("Fifo"), parameters={"SqsParameters": parameters})
    shop = rehearse()
    publish(shop, *in_group("a", 1, 1), *in_group("b", 2))
    assert orders(shop, "Shop/Fifo") == ["o-1", "o-1", "o-2"]
    groups = [message.group_id for message in shop.queues.by_path("Shop/Fifo").model._messages]
    assert groups == ["a", "a", "b"]


def test_a_fifo_queue_without_a_group_fails_at_delivery(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"""
    bus.add("Fifo", "AWS::SQS::Queue", FifoQueue=True, ContentBasedDeduplication=True)
    subscriber(bus, target=arn("Fifo"), OnFailureConfiguration={"Arn": arn("DeadLetters")})
    shop = rehearse()
    publish(shop)
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    assert record["errorCode"] == "CUSTOMER_VALIDATION"
    assert "MessageGroupId" in record["errorMessage"]


# -- targets and batches --------------------------------------------------------------------


def test_a_function_gets_a_batch_as_an_array(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-lambda.html"""
    bus.function("Echo", ECHO)
    parameters = {"LambdaParameters": {"InvocationType": "EVENT"}}
    subscriber(bus, target=arn("Echo"), parameters=parameters)
    shop = rehearse()
    publish(shop, *numbered(*range(12)))
    batches = [json.loads(line) for line in shop.logs("Shop/Echo").splitlines() if "[" in line[:1]]
    assert sorted(len(batch) for batch in batches) == [2, 10]


@pytest.mark.parametrize("kind", ["EVENT", "REQUEST_RESPONSE"])
def test_a_function_gets_one_event_as_an_object_if_batches_have_one(
    bus: Cloud, rehearse: Rehearse, kind: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-lambda.html"""
    bus.function("Echo", ECHO)
    parameters = {"LambdaParameters": {"InvocationType": kind}}
    single = {"MaxBatchSize": 1}
    subscriber(bus, target=arn("Echo"), parameters=parameters, BatchConfiguration=single)
    shop = rehearse()
    publish(shop)
    assert '"detail": {"order": "o-1"}' in shop.logs("Shop/Echo")
    assert "[{" not in shop.logs("Shop/Echo")


@pytest.mark.parametrize(
    ("kind", "code"), [("EVENT", None), ("REQUEST_RESPONSE", "COMPUTE_EXECUTION_ERROR")]
)
def test_an_error_of_a_function_fails_the_delivery_only_if_the_subscriber_waits(
    bus: Cloud, rehearse: Rehearse, kind: str, code: str | None
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-lambda.html"""
    bus.function("Fails", "def handler(event, context): raise ValueError")
    subscriber(
        bus,
        target=arn("Fails"),
        parameters={"LambdaParameters": {"InvocationType": kind}},
        OnFailureConfiguration={"Arn": arn("DeadLetters")},
    )
    shop = rehearse()
    publish(shop)
    codes = [json.loads(body)["errorCode"] for body in bodies(shop, "Shop/DeadLetters")]
    assert codes == ([code] if code else [])
    assert len(shop.meter.of("invocation")) == (6 if code else 3)


def test_a_function_that_takes_too_long_fails_the_delivery(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-lambda.html"""
    bus.function("Slow", "import time\ndef handler(event, context): time.sleep(31)", Timeout=60)
    subscriber(
        bus,
        target=arn("Slow"),
        parameters={"LambdaParameters": {"InvocationType": "REQUEST_RESPONSE"}},
        RetryPolicy={"MaxRetryAttempts": 0},
        OnFailureConfiguration={"Arn": arn("DeadLetters")},
    )
    shop = rehearse()
    publish(shop)
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    assert record["errorCode"] == "EXECUTION_TIMEOUT"


def workflow(cloud: Cloud, kind: str, definition: dict[str, Any]) -> str:
    return cloud.add(
        "Workflow",
        "AWS::StepFunctions::StateMachine",
        StateMachineType=kind,
        RoleArn=arn("Role"),
        DefinitionString=json.dumps({"StartAt": "S", "States": {"S": definition}}),
    )


@pytest.mark.parametrize(
    ("kind", "invocation", "definition", "code"),
    [
        ("STANDARD", "EVENT", {"Type": "Pass", "End": True}, None),
        ("EXPRESS", "REQUEST_RESPONSE", {"Type": "Pass", "End": True}, None),
        ("EXPRESS", "REQUEST_RESPONSE", {"Type": "Fail"}, "COMPUTE_EXECUTION_ERROR"),
        (
            *("STANDARD", "REQUEST_RESPONSE", {"Type": "Pass", "End": True}),
            "SFN_TYPE_NOT_SUPPORTED",
        ),
    ],
)
def test_a_subscriber_starts_a_workflow(
    bus: Cloud,
    rehearse: Rehearse,
    kind: str,
    invocation: str,
    definition: dict[str, Any],
    code: str | None,
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-sfn.html"""
    workflow(bus, kind, definition)
    subscriber(
        bus,
        target=ref("Workflow"),
        parameters={"StepFunctionsParameters": {"InvocationType": invocation}},
        OnFailureConfiguration={"Arn": arn("DeadLetters")},
    )
    shop = rehearse()
    publish(shop)
    codes = [json.loads(body)["errorCode"] for body in bodies(shop, "Shop/DeadLetters")]
    assert codes == ([code] if code else [])
    if code is None:
        assert len([r for r in shop.meter.of("execution") if r.detail["what"] == "started"]) == 1


def test_a_stream_gets_one_record_for_each_event(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-kinesis.html"""
    bus.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
    key = {"KinesisParameters": {"PartitionKey": "{% $events.Data.detail.order %}"}}
    subscriber(bus, target=arn("Stream"), parameters=key)
    subscriber(
        bus, "Keyless", target=arn("Stream"), OnFailureConfiguration={"Arn": arn("DeadLetters")}
    )
    shop = rehearse()
    publish(shop, *numbered(1, 2))
    client = shop.client("kinesis")
    name = shop.physical_id("Shop/Stream")
    (shard,) = client.list_shards(StreamName=name)["Shards"]
    iterator = client.get_shard_iterator(
        StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = client.get_records(ShardIterator=iterator)["Records"]
    assert [record["PartitionKey"] for record in records] == ["o-1", "o-2"]
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    assert record["errorCode"] == "CUSTOMER_VALIDATION"


def test_a_topic_gets_one_message_for_each_event(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-sns.html"""
    bus.add("Topic", "AWS::SNS::Topic")
    bus.add(
        "Subscription",
        "AWS::SNS::Subscription",
        TopicArn=ref("Topic"),
        Protocol="sqs",
        Endpoint=arn("Queue"),
        RawMessageDelivery=True,
        FilterPolicy={"order": ["o-2"]},
    )
    bus.add(
        "QueuePolicy",
        "AWS::SQS::QueuePolicy",
        Queues=[ref("Queue")],
        PolicyDocument={
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn("Queue"),
                }
            ]
        },
    )
    order = {"DataType": "String", "StringValue": "{% $events.Data.detail.order %}"}
    attributes = {"SnsParameters": {"MessageAttributes": {"order": order}}}
    subscriber(bus, target=ref("Topic"), parameters=attributes)
    shop = rehearse()
    publish(shop, *numbered(1, 2))
    assert orders(shop) == ["o-2"]


def test_a_batch_waits_for_its_window_or_until_it_is_full(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-batching.html"""
    bus.function("Echo", ECHO)
    subscriber(
        bus,
        target=arn("Echo"),
        parameters={"LambdaParameters": {"InvocationType": "REQUEST_RESPONSE"}},
        BatchConfiguration={"MaxBatchSize": 3, "MaxBatchWindowInSeconds": 60},
    )
    shop = rehearse()

    def put(*numbers: int) -> list[float]:
        shop.client("eventbridgev2").put_events(
            EventBusArn=shop.physical_id("Shop/Bus"), Entries=numbered(*numbers)
        )
        shop.run_for(30)
        return [r.time - START.timestamp() for r in shop.meter.of("invocation")]

    assert put(1) == []
    assert put(2) == [60]
    assert put(3, 4, 5) == [60, 60]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"BatchConfiguration": {"MaxBatchSize": 11}}, "above the target's maximum of 10"),
        ({"parameters": {"SnsParameters": {}}}, "Expected SqsParameters"),
        (
            {"parameters": {"SqsParameters": {"MessageGroupId": "{% ( %}"}}},
            "is invalid",
        ),
        ({"parameters": {"SqsParameters": {"DelaySeconds": "1"}}}, "unknown property DelaySeconds"),
        ({"target": ref("Bus")}, "own event bus"),
        ({"target": "arn:aws:states:us-east-1:123456789012:stateMachine:m"}, "be in region"),
        ({"target": "arn:aws:firehose:eu-central-1:123456789012:deliverystream/d"}, "not know"),
        ({"target": "arn:aws:events:::aws-sdk:dynamodb:putItem"}, "UniversalTargetParameters"),
        ({"target": "arn:aws:events:::aws-sdk:textract:startX"}, "does not know targets"),
        ({"target": arn("Echo")}, "state EVENT or REQUEST_RESPONSE"),
        ({"RetryPolicy": {"MaxRetryAttempts": 186}}, "MaxRetryAttempts"),
        ({"RetryPolicy": {"MaxEventAgeInSeconds": 59}}, "MaxEventAgeInSeconds"),
        ({"Type": "SOMETIMES"}, "FIFO"),
        ({"Surprise": 1}, "unknown property Surprise"),
    ],
)
def test_what_the_rehearsal_or_eventbridge_refuses_is_an_error_with_its_place(
    bus: Cloud, rehearse: Rehearse, changes: dict[str, Any], problem: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-targets.html"""
    bus.function("Echo", ECHO)
    subscriber(bus, **changes)
    with pytest.raises(UnsupportedTemplateError, match=f"(?s)Subscriber.*{problem}"):
        rehearse()


def test_a_queue_outside_of_the_assembly_needs_a_stand_in(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-subscribers.html"""
    subscriber(bus, target="arn:aws:sqs:eu-central-1:123456789012:elsewhere")
    with pytest.raises(UnsupportedTemplateError, match="give a stand-in"):
        rehearse()


ITEM = '{% {"TableName": "orders", "Item": {"pk": {"S": $events.Data.detail.order}}} %}'
ONE = {"MaxBatchSize": 1, "MaxBatchWindowInSeconds": 0}


def universal(cloud: Cloud, action: str = "dynamodb:putItem", **changes: Any) -> None:
    """Add a table, and a subscriber that calls an action."""
    cloud.add(
        "Table",
        "AWS::DynamoDB::Table",
        TableName="orders",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    subscriber(
        cloud,
        target=f"arn:aws:events:::aws-sdk:{action}",
        **{
            "parameters": {"UniversalTargetParameters": {"Input": ITEM}},
            "BatchConfiguration": ONE,
            "OnFailureConfiguration": {"Arn": arn("DeadLetters")},
            **changes,
        },
    )


def test_a_universal_target_calls_an_action_with_what_the_expression_returns(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-universal-targets.html"""
    universal(bus)
    shop = rehearse()
    publish(shop, *numbered(1, 2))
    items = shop.client("dynamodb").scan(TableName="orders")["Items"]
    assert sorted(item["pk"]["S"] for item in items) == ["o-1", "o-2"]


@pytest.mark.parametrize(
    ("expression", "granted", "code"),
    [
        (ITEM, "dynamodb:GetItem", "ACCESS_DENIED"),
        (ITEM.replace("orders", "others"), "dynamodb:*", "RESOURCE_NOT_FOUND"),
        (ITEM.replace("TableName", "Name"), "dynamodb:*", "CUSTOMER_VALIDATION"),
        ("{% $events.Data.no %}", "dynamodb:*", "INPUT_TRANSFORMATION_FAILURE"),
    ],
)
def test_a_call_of_a_universal_target_that_fails_is_recorded(
    bus: Cloud, rehearse: Rehearse, expression: str, granted: str, code: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-universal-targets.html"""
    allowed = [granted, "sqs:SendMessage"]
    bus.role("Role", {"Effect": "Allow", "Action": allowed, "Resource": "*"})
    universal(bus, parameters={"UniversalTargetParameters": {"Input": expression}})
    shop = rehearse()
    publish(shop)
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    assert record["errorCode"] == code


def test_a_fault_can_act_on_the_way_to_a_universal_target(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    bus.role("Role", {"Effect": "Allow", "Action": "*", "Resource": "*"})
    universal(bus)
    shop = rehearse()
    target = "arn:aws:events:::aws-sdk:dynamodb:putItem"
    shop.faults.plan(FAULTS["gone"], target=target, times=6)
    publish(shop)
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    assert record["errorCode"] == "RESOURCE_NOT_FOUND"
    with pytest.raises(RehearsalError, match="no resource has this path"):
        shop.faults.plan(FAULTS["gone"], target=f"{target}s")


@pytest.mark.parametrize(
    ("action", "changes", "problem"),
    [
        ("dynamodb:PutItem", {}, "names no action"),
        ("dynamodb:getItem", {}, "names no action"),
        ("dynamodb:putItem", {"BatchConfiguration": {"MaxBatchSize": 1}}, "both fields"),
        ("dynamodb:putItem", {"Transformer": {"Type": "RAW"}}, "has no Transformer"),
    ],
)
def test_a_universal_target_that_eventbridge_refuses_is_an_error(
    bus: Cloud, rehearse: Rehearse, action: str, changes: dict[str, Any], problem: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-universal-targets.html"""
    universal(bus, action, **changes)
    with pytest.raises(UnsupportedTemplateError, match=problem):
        rehearse()


# -- other buses ----------------------------------------------------------------------------


def test_a_subscriber_forwards_to_another_bus_as_a_new_event(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html"""
    bus.add("Second", "AWS::EventsV2::EventBus", Name="second")
    subscriber(bus, "Bridge", target=ref("Second"))
    whole = {"Type": "WITH_METADATA"}
    subscriber(bus, EventBusArn=ref("Second"), Transformer=whole)
    shop = rehearse()
    answer = publish(shop)
    (body,) = map(json.loads, bodies(shop))
    assert body["Data"]["detail"] == {"order": "o-1"}
    assert body["SystemMetadata"]["aws:Source"] == "shop.orders"
    assert body["SystemMetadata"]["aws:EventId"] != answer["Entries"][0]["EventId"]


def test_a_loop_of_buses_is_detected(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html"""
    bus.add("Second", "AWS::EventsV2::EventBus", Name="second")
    subscriber(bus, "There", target=ref("Second"))
    subscriber(
        bus,
        "Back",
        target=ref("Bus"),
        EventBusArn=ref("Second"),
        OnFailureConfiguration={"Arn": arn("DeadLetters")},
    )
    subscriber(bus)
    shop = rehearse()
    publish(shop)
    (record,) = map(json.loads, bodies(shop, "Shop/DeadLetters"))
    assert record["errorCode"] == "LOOP_DETECTED"
    assert orders(shop) == ["o-1"]


@pytest.mark.parametrize("missing", ["events:PutEvents", "events:PutRawEvents"])
def test_a_bridge_needs_both_actions(bus: Cloud, rehearse: Rehearse, missing: str) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-sharing.html"""
    bus.add("Second", "AWS::EventsV2::EventBus", Name="second")
    granted = [each for each in ("events:PutEvents", "events:PutRawEvents") if each != missing]
    bus.role("Weak", {"Effect": "Allow", "Action": granted, "Resource": "*"})
    subscriber(bus, "Bridge", target=ref("Second"), parameters={"RoleArn": arn("Weak")})
    subscriber(bus, EventBusArn=ref("Second"))
    shop = rehearse()
    publish(shop)
    assert bodies(shop) == []


def test_a_subscriber_forwards_to_a_classic_bus(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html"""
    bus.add("Classic", "AWS::Events::EventBus", Name="classic")
    bus.queue("Behind")
    bus.rule("Rule", ORDERS, {"Arn": arn("Behind")}, bus="Classic")
    subscriber(bus, "Bridge", target=arn("Classic"))
    shop = rehearse()
    publish(shop)
    assert orders(shop, "Shop/Behind") == ["o-1"]


def test_a_rule_that_forwards_to_a_custom_bus_needs_a_role(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-sharing.html"""
    bus.add("Classic", "AWS::Events::EventBus", Name="classic")
    bus.rule("Rule", ORDERS, {"Arn": ref("Bus")}, bus="Classic")
    with pytest.raises(UnsupportedTemplateError, match="needs a role"):
        rehearse()


def test_a_rule_forwards_to_a_custom_bus(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html"""
    bus.add("Classic", "AWS::Events::EventBus", Name="classic")
    bus.rule("Rule", ORDERS, {"Arn": ref("Bus"), "RoleArn": arn("Role")}, bus="Classic")
    subscriber(bus, FilterConfiguration=data(ORDERS))
    shop = rehearse()
    shop.client("events").put_events(Entries=[event(EventBusName="classic")])
    shop.run_until_idle()
    assert orders(shop) == ["o-1"]


def from_s3(cloud: Cloud, **configuration: Any) -> None:
    """Add a bucket that sends events to EventBridge, and an event source for them."""
    cloud.add(
        "Bucket",
        "AWS::S3::Bucket",
        NotificationConfiguration={"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
    )
    stated = {"AwsService": "aws.s3", **configuration}
    cloud.add(
        "Source",
        "AWS::EventsV2::EventSource",
        Name="files",
        EventBusArn=ref("Bus"),
        Configuration={"AwsServiceEventsConfiguration": stated},
    )


@pytest.mark.parametrize(
    ("configuration", "count"),
    [
        ({}, 2),
        ({"Pattern": '{"detail": {"object": {"key": ["a"]}}}'}, 1),
        ({"AwsService": "aws.ec2"}, 0),
    ],
)
def test_an_event_source_puts_events_of_a_service_on_the_bus(
    bus: Cloud, rehearse: Rehearse, configuration: dict[str, Any], count: int
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-event-sources.html"""
    from_s3(bus, **configuration)
    scope = {"Scope": "SYSTEM_METADATA", "Pattern": '{"aws:Source": ["aws.s3"]}'}
    subscriber(bus, FilterConfiguration={"Filters": [scope]})
    shop = rehearse()
    for key in ("a", "b"):
        shop.client("s3").put_object(Bucket=shop.physical_id("Shop/Bucket"), Key=key, Body=b"x")
    shop.run_until_idle()
    assert len(bodies(shop)) == count


@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        ({"Pattern": '{"source": ["aws.s3"]}'}, "must not have source"),
        ({"AwsService": "shop.orders"}, "AwsService"),
        (
            {"OnFailureConfiguration": {"Arn": "arn:aws:sqs:eu-central-1:123456789012:d.fifo"}},
            "must name a standard SQS queue",
        ),
    ],
)
def test_an_event_source_that_eventbridge_refuses_is_an_error(
    bus: Cloud, rehearse: Rehearse, configuration: dict[str, Any], problem: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-event-sources.html"""
    from_s3(bus, **configuration)
    with pytest.raises(UnsupportedTemplateError, match=problem):
        rehearse()


# -- permissions ----------------------------------------------------------------------------


def test_a_role_publishes_only_the_kinds_of_events_that_its_policy_names(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-access-actions.html"""
    granted = {
        "Effect": "Allow",
        "Action": "events:PutEvents",
        "Resource": ref("Bus"),
        "Condition": {
            "StringEquals": {"events:source": "shop.orders"},
            "Null": {"events:detail-type": "false"},
        },
    }
    bus.role("Weak", granted)
    bus.function(
        "Publish",
        """
        import boto3
        def handler(event, context):
            return boto3.client("eventbridgev2").put_events(**event)["FailedEntryCount"]
        """,
        Role=arn("Weak"),
    )
    subscriber(bus)
    shop = rehearse()

    def put(*entries: dict[str, Any]) -> Any:
        bus_arn = shop.physical_id("Shop/Bus")
        result = shop.invoke("Shop/Publish", {"EventBusArn": bus_arn, "Entries": list(entries)})
        return result.payload

    assert put(event()) == 0
    denied = put(event(), event(Source="shop.payments"))
    assert denied["errorType"] == "AccessDeniedException"
    shop.run_until_idle()
    assert len(bodies(shop)) == 1
    calls = [(call.target, call.detail["error"]) for call in shop.meter.of("call")]
    assert calls == [("Shop/Bus", None), ("Shop/Bus", "AccessDeniedException")]


def test_a_policy_of_the_bus_can_deny(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-sharing.html"""
    bus.function(
        "Publish",
        """
        import boto3
        def handler(event, context):
            return boto3.client("eventbridgev2").put_events(**event)["FailedEntryCount"]
        """,
    )
    bus.add(
        "Policy",
        "AWS::EventsV2::ResourcePolicy",
        EventBusArn=ref("Bus"),
        PolicyDocument={
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": {"AWS": arn("Role")},
                    "Action": "events:PutEvents",
                    "Resource": ref("Bus"),
                }
            ],
        },
    )
    shop = rehearse()
    entries = {"EventBusArn": shop.physical_id("Shop/Bus"), "Entries": [event()]}
    assert shop.invoke("Shop/Publish", entries).payload["errorType"] == "AccessDeniedException"
    shop.client("eventbridgev2").delete_resource_policy(ResourceArn=shop.physical_id("Shop/Bus"))
    assert shop.invoke("Shop/Publish", entries).payload == 0


@pytest.mark.parametrize(
    ("condition", "public"),
    [
        ({}, True),
        ({"StringEquals": {"events:source": "shop.orders"}}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}, False),
    ],
)
def test_a_public_policy_is_refused(
    bus: Cloud, rehearse: Rehearse, condition: dict[str, Any], public: bool
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-sharing.html"""
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "events:PutEvents",
        "Resource": ref("Bus"),
        "Condition": condition,
    }
    bus.add(
        "Policy",
        "AWS::EventsV2::ResourcePolicy",
        EventBusArn=ref("Bus"),
        PolicyDocument={"Statement": [statement]},
    )
    if public:
        with pytest.raises(UnsupportedTemplateError, match="PublicPolicyException"):
            rehearse()
    else:
        rehearse(values={"aws:PrincipalOrgID": "o-1234567890"})


def test_the_creator_of_a_subscriber_has_to_be_admitted_by_bus_subscriber_and_role(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-access-actions.html"""
    own = {"Fn::Sub": "arn:aws:events:${AWS::Region}:${AWS::AccountId}:subscriber/Again/*"}
    may = [
        {"Effect": "Allow", "Action": "events:CreateSubscriber", "Resource": ref("Bus")},
        {"Effect": "Allow", "Action": "events:CreateSubscriber", "Resource": own},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": arn("Role")},
    ]
    code = """
        import boto3
        def handler(event, context):
            return bool(boto3.client("eventbridgev2").create_subscriber(**event))
    """
    for number in range(4):
        granted = [each for index, each in enumerate(may) if index != number]
        bus.role(f"Role{number}", *granted)
        bus.function(f"Create{number}", code, Role=arn(f"Role{number}"))
    shop = rehearse()
    request = {
        "Name": "Again",
        "EventBusArn": shop.physical_id("Shop/Bus"),
        "InvokeConfiguration": {
            "TargetArn": shop.resource("Shop/Queue").attributes["Arn"],
            "RoleArn": shop.resource("Shop/Role").attributes["Arn"],
        },
    }
    answers = [shop.invoke(f"Shop/Create{number}", request).payload for number in range(4)]
    assert [each if each is True else each["errorType"] for each in answers] == [
        *["AccessDeniedException"] * 3,
        True,
    ]


def test_a_replay_that_was_stopped_cannot_skip_to_new_events(five: Rehearsal) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-update.html"""
    client = five.client("eventbridgev2")
    bounded = again(five, State="STOPPED", **from_(10, 30))
    with pytest.raises(client.exceptions.InvalidInputException, match="is replaying"):
        client.update_subscriber(SubscriberArn=bounded, State="RUNNING", ResumePosition="LATEST")
    client.update_subscriber(SubscriberArn=bounded, State="RUNNING")
    five.run_until_idle()
    assert orders(five) == ["o-1", "o-2"]
