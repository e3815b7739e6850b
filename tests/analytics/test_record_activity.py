"""Recording activity: customers' activities reach the stream and count once."""

from collections.abc import Callable
from typing import Any

import pytest

from lambdas.analytics import domain
from lambdas.eventing import aws
from tests.analytics.context import Analytics, Window
from tests.support.cloud import Cloud

VIEW = {
    "activity_id": "a-1",
    "kind": "viewed",
    "sku": "MUG",
    "unit_price_minor": 1250,
    "currency": "EUR",
}
CART = {**VIEW, "activity_id": "a-2", "kind": "added_to_cart", "quantity": 3}


def test_activities_are_put_on_the_stream_as_events(analytics: Analytics) -> None:
    answer = analytics.record(VIEW, CART)
    assert (answer.status, answer.json) == (202, {"accepted": 2})
    Window().invoke(analytics.on_stream())
    (item,) = [row for (_, sku), row in analytics.rows().items() if sku == "MUG"]
    assert item == {"views": 1, "added_to_cart": 3}


def test_a_repeated_request_counts_once(analytics: Analytics) -> None:
    for _ in range(2):
        assert analytics.record(VIEW, CART).status == 202
    analytics.record({**VIEW, "unit_price_minor": 1})
    records = analytics.on_stream()
    assert len(records) == 5
    Window().invoke(records)
    assert sum(row.get("views", 0) for (_, sku), row in analytics.rows().items() if sku) == 1


def test_equal_activity_ids_of_different_customers_count_separately(analytics: Analytics) -> None:
    for caller in ("customer-1", "customer-2"):
        analytics.record(VIEW, caller=caller)
    Window().invoke(analytics.on_stream())
    assert sum(row.get("views", 0) for (_, sku), row in analytics.rows().items() if sku) == 2


def test_event_ids_of_different_customers_and_activities_differ() -> None:
    ids = {
        domain.activity_event_id(*pair)
        for pair in [("a", "b:c"), ("a:b", "c"), ("1:a", "b"), ("a", "1:b"), ("a:", "b:c")]
    }
    assert len(ids) == 5


def test_a_record_does_not_name_the_customer(analytics: Analytics) -> None:
    analytics.record(VIEW, caller="customer-42")
    (record,) = analytics.on_stream()
    assert "customer-42" not in str(record)


def test_records_have_different_partition_keys(analytics: Analytics) -> None:
    analytics.record(*({**VIEW, "activity_id": f"a-{number}"} for number in range(50)))
    keys = {record["kinesis"]["partitionKey"] for record in analytics.on_stream()}
    assert len(keys) == 50


@pytest.mark.parametrize(
    ("activities", "reason"),
    [
        ([], "activities"),
        ([{**VIEW, "activity_id": f"a-{number}"} for number in range(51)], "activities"),
        ([{**VIEW, "kind": "stolen"}], "kind"),
        ([{**VIEW, "sku": "no blanks"}], "sku"),
        ([{**VIEW, "sku": "*"}], "sku"),
        ([{**VIEW, "sku": "A#B"}], "sku"),
        ([{**VIEW, "quantity": 1}], "quantity"),
        ([{**CART, "quantity": 0}], "quantity"),
        ([{**VIEW, "unit_price_minor": -1}], "unit_price_minor"),
        ([{**VIEW, "activity_id": ""}], "activity_id"),
        ([VIEW, {**CART, "activity_id": "a-1"}], "a-1 occurs more than once"),
    ],
)
def test_an_invalid_activity_is_rejected_and_nothing_is_put_on_the_stream(
    analytics: Analytics, activities: list[dict[str, Any]], reason: str
) -> None:
    answer = analytics.record(*activities)
    assert answer.status == 400
    assert reason in answer.json["detail"]
    assert analytics.on_stream() == []


Put = Callable[..., Any]


def rejecting(put: Put, *positions: int, times: int) -> Put:
    """A stream that rejects the records at these positions of the first `times` requests."""
    left = [times]

    def put_records(**request: Any) -> Any:
        records = request["Records"]
        if not left[0]:
            return put(**request)
        left[0] -= 1
        refused = {position for position in positions if position < len(records)}
        taken = [record for number, record in enumerate(records) if number not in refused]
        if taken:
            put(**{**request, "Records": taken})
        results = [
            {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"}
            if number in refused
            else {"SequenceNumber": str(number), "ShardId": "shardId-0"}
            for number in range(len(records))
        ]
        return {"FailedRecordCount": len(refused), "Records": results}

    return put_records


def test_only_the_records_that_the_stream_rejects_are_sent_again(
    analytics: Analytics, cloud: Cloud
) -> None:
    kinesis = aws.kinesis()
    cloud.monkeypatch.setattr(kinesis, "put_records", rejecting(kinesis.put_records, 1, times=1))
    third = {**VIEW, "activity_id": "a-3"}
    assert analytics.record(VIEW, CART, third).status == 202
    data = [record["kinesis"]["partitionKey"] for record in analytics.on_stream()]
    expected = [domain.activity_event_id("customer-1", id_) for id_ in ("a-1", "a-3", "a-2")]
    assert data == expected
    assert len(cloud.pauses) == 1


def test_if_the_stream_keeps_rejecting_the_client_is_asked_to_retry_later(
    analytics: Analytics, cloud: Cloud
) -> None:
    kinesis = aws.kinesis()
    cloud.monkeypatch.setattr(kinesis, "put_records", rejecting(kinesis.put_records, 0, times=99))
    answer = analytics.record(VIEW)
    assert (answer.status, answer.json["code"]) == (503, "stream_busy")
    assert answer.headers["retry-after"]
    assert 1 <= len(cloud.pauses) <= 5
    assert sum(cloud.pauses) < 5
