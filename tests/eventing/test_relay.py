"""The relay: all events of the outbox reach the bus, in order."""

from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.eventing import aws, relay
from lambdas.eventing.event import MAX_EVENT_BYTES
from tests.eventing.sample import CoinCounted, coin, counting, delivery
from tests.support.cloud import Cloud, Table
from tests.support.messages import CONTEXT, enveloped, failed


class Bus:
    """A bus that records each request and rejects the entries in `refused`."""

    arn = "arn:aws:events:eu-central-1:123456789012:event-bus/shop"

    def __init__(self) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self.refused: set[str] = set()
        self.refusals: list[set[str]] = []
        self.errors: list[Exception] = []

    @classmethod
    def in_place_of_the_bus(cls, cloud: Cloud) -> "Bus":
        """Replaces the bus to which the relay publishes."""
        cloud.configure(relay.RelaySettings(event_bus_arn=cls.arn).as_environment())
        bus = cls()
        cloud.monkeypatch.setattr(aws.events(), "put_events", bus.put_events)
        return bus

    def put_events(self, Entries: Sequence[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html."""
        assert 1 <= len(Entries) <= 10
        if self.errors:
            raise self.errors.pop(0)
        self.requests.append(list(Entries))
        self.refusals.append(set(self.refused))
        results = [
            {"ErrorCode": "ThrottlingException", "ErrorMessage": "later"}
            if entry["Detail"] in self.refused
            else {"EventId": "e"}
            for entry in Entries
        ]
        failures = sum("ErrorCode" in result for result in results)
        return {"FailedEntryCount": failures, "Entries": results}

    @property
    def details(self) -> list[str]:
        """The details of all entries that the bus accepted."""
        return [
            entry["Detail"]
            for request, refused in zip(self.requests, self.refusals, strict=True)
            for entry in request
            if entry["Detail"] not in refused
        ]


@pytest.fixture
def bus(cloud: Cloud) -> Bus:
    return Bus.in_place_of_the_bus(cloud)


def record(number: int, detail: str | None = None) -> dict[str, Any]:
    """An insert in the stream, with the number as its sequence number.

    https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
    """
    image = {
        "pk": "PURSE#p",
        "kind": "outbox",
        "source": "orderflow.sample",
        "detail_type": "CoinCounted.v1",
        "detail": detail or f'"detail {number}"',
    }
    return {
        "eventID": str(number),
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "NewImage": {name: {"S": value} for name, value in image.items()},
            "SequenceNumber": str(number),
            "StreamViewType": "NEW_IMAGE",
        },
    }


def publish(*records: dict[str, Any]) -> list[str]:
    """Runs the relay; returns the sequence numbers from which the stream delivers again."""
    return failed(relay.handler({"Records": list(records)}, CONTEXT))


def test_an_outbox_item_becomes_an_entry_for_the_bus(bus: Bus, ledger: Table) -> None:
    counting(delivery(coin())).commit()
    item = ledger.one("outbox")
    assert publish(record(1, item["detail"])) == []
    assert bus.requests == [
        [
            {
                "EventBusName": bus.arn,
                "Source": "orderflow.sample",
                "DetailType": "CoinCounted.v1",
                "Detail": item["detail"],
                "Resources": [bus.arn],
            }
        ]
    ]


def test_the_outbox_items_of_a_transaction_have_the_attributes_that_the_relay_reads(
    bus: Bus, ledger: Table
) -> None:
    counting(delivery(coin())).commit()
    item = ledger.one("outbox")
    assert set(record(1)["dynamodb"]["NewImage"]) <= set(item)


def test_events_keep_their_order_across_requests(bus: Bus) -> None:
    assert publish(*map(record, range(1, 36))) == []
    assert bus.details == [f'"detail {number}"' for number in range(1, 36)]
    assert [len(request) for request in bus.requests] == [10, 10, 10, 5]


def test_an_empty_batch_sends_no_request(bus: Bus) -> None:
    assert publish() == []
    assert bus.requests == []


@pytest.mark.parametrize("refused", [[1], [3], [10], [4, 7], [2, 9, 10]])
def test_the_lowest_rejected_sequence_number_is_reported(bus: Bus, refused: list[int]) -> None:
    """The stream delivers from the lowest reported number on.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    bus.refused = {f'"detail {number}"' for number in refused}
    assert publish(*map(record, range(1, 11))) == [str(min(refused))]


def test_a_rejection_in_a_later_request_is_reported_with_its_own_number(bus: Bus) -> None:
    bus.refused = {'"detail 17"'}
    assert publish(*map(record, range(1, 31))) == ["17"]


def test_after_a_rejection_no_further_request_is_sent(bus: Bus) -> None:
    bus.refused = {'"detail 4"'}
    publish(*map(record, range(1, 31)))
    assert [len(request) for request in bus.requests] == [10]


def test_after_redelivery_from_the_reported_number_every_event_has_arrived(bus: Bus) -> None:
    bus.refused = {'"detail 4"', '"detail 12"'}
    records = [record(number) for number in range(1, 21)]
    waiting = records
    for _ in range(3):
        reported = publish(*waiting)
        if reported:
            start = next(i for i, r in enumerate(records) if r["eventID"] == reported[0])
            waiting = records[start:]
            bus.refused.discard(f'"detail {reported[0]}"')
    arrived = list(dict.fromkeys(bus.details))
    assert sorted(arrived, key=lambda d: int(d.strip('"detail '))) == [
        f'"detail {number}"' for number in range(1, 21)
    ]


def test_an_error_of_a_whole_request_is_raised_so_that_the_batch_is_redelivered(
    bus: Bus,
) -> None:
    response: Any = {"Error": {"Code": "InternalException", "Message": "later"}}
    bus.errors = [ClientError(response, "PutEvents")]
    with pytest.raises(ClientError, match="InternalException"):
        publish(record(1))
    assert publish(record(1)) == []
    assert bus.details == ['"detail 1"']


def test_a_request_stays_within_the_size_limit_of_the_bus(bus: Bus) -> None:
    large = "x" * 100_000
    assert publish(*[record(number, large) for number in range(1, 6)]) == []
    assert [len(request) for request in bus.requests] == [2, 2, 1]


@pytest.mark.parametrize("letter", ["x", "ü", "€", "😀"])
def test_sizes_are_counted_in_bytes_not_characters(bus: Bus, letter: str) -> None:
    """PutEvents counts the UTF-8 bytes of the detail, the detail-type and the source.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
    """
    half = letter * (MAX_EVENT_BYTES // 2 // len(letter.encode()))
    assert publish(record(1, half), record(2, half)) == []
    for request in bus.requests:
        size = sum(
            len((entry["Detail"] + entry["DetailType"] + entry["Source"]).encode())
            for entry in request
        )
        assert size <= MAX_EVENT_BYTES
    assert len(bus.details) == 2


def test_the_largest_event_that_can_be_committed_can_be_published(bus: Bus) -> None:
    frame = len(enveloped(CoinCounted(purse="p")).to_json())
    largest = enveloped(CoinCounted(purse="p", note="x" * (MAX_EVENT_BYTES - frame))).to_json()
    assert publish(record(1), record(2, largest), record(3)) == []
    assert [len(request) for request in bus.requests] == [1, 1, 1]


def test_without_a_bus_the_relay_names_the_missing_variable(cloud: Cloud) -> None:
    with pytest.raises(RuntimeError, match="event_bus_arn"):
        publish(record(1))


class CustomBus(Bus):
    """A Custom Event Bus that records each request and rejects the entries in `refused`."""

    arn = f"arn:aws:events:eu-central-1:123456789012:event-busv2/shop/{'a' * 25}"

    @classmethod
    def in_place_of_the_bus(cls, cloud: Cloud) -> "CustomBus":
        """Replaces the bus to which the relay publishes."""
        cloud.configure(relay.RelaySettings(event_bus_arn=cls.arn).as_environment())
        bus = cls()
        cloud.monkeypatch.setattr(aws.events_v2(), "put_events", bus.put_on_custom_bus)
        return bus

    def put_on_custom_bus(
        self,
        EventBusArn: str,  # noqa: N803
        Entries: Sequence[dict[str, Any]],  # noqa: N803
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_PutEvents.html."""
        assert EventBusArn == self.arn
        assert 1 <= len(Entries) <= 100
        self.requests.append(list(Entries))
        self.refusals.append(set(self.refused))
        results = [
            {"ErrorCode": "INTERNAL", "ErrorMessage": "later"}
            if entry["Detail"] in self.refused
            else {"EventId": "e", "SuccessCode": "DEDUPLICATED"}
            for entry in Entries
        ]
        failures = sum("ErrorCode" in result for result in results)
        return {"FailedEntryCount": failures, "Entries": results}


@pytest.fixture
def custom_bus(cloud: Cloud) -> CustomBus:
    return CustomBus.in_place_of_the_bus(cloud)


def stored(number: int, **keys: str) -> dict[str, Any]:
    """An insert in the stream with the keys of the outbox item."""
    made = record(number)
    keys = {"sk": f"OUTBOX#{number}", **keys}
    made["dynamodb"]["NewImage"] |= {name: {"S": value} for name, value in keys.items()}
    return made


def test_a_custom_bus_gets_the_aggregate_as_group_and_the_item_as_identity(
    custom_bus: CustomBus,
) -> None:
    assert publish(stored(1), stored(2, pk="PURSE#q", sk="OUTBOX#1#CoinCounted.v1")) == []
    (request,) = custom_bus.requests
    assert request[0] == {
        "Source": "orderflow.sample",
        "DetailType": "CoinCounted.v1",
        "Detail": '"detail 1"',
        "Resources": [custom_bus.arn],
        "SystemMetadata": {"EventGroupId": "PURSE#p", "DeduplicationId": "1"},
    }
    # The same fact in another version has the same CloudEvents id, and is no repetition.
    assert request[1]["SystemMetadata"] == {
        "EventGroupId": "PURSE#q",
        "DeduplicationId": "1#CoinCounted.v1",
    }


def test_a_custom_bus_takes_a_hundred_entries_in_a_request(custom_bus: CustomBus) -> None:
    assert publish(*map(stored, range(1, 131))) == []
    assert [len(request) for request in custom_bus.requests] == [100, 30]


def test_a_duplicate_counts_as_published_and_a_rejection_is_reported(
    custom_bus: CustomBus,
) -> None:
    custom_bus.refused = {'"detail 3"'}
    assert publish(*map(stored, range(1, 6))) == ["3"]


def test_the_id_of_a_group_is_not_longer_than_the_bus_allows(custom_bus: CustomBus) -> None:
    assert publish(stored(1, pk="x" * 200)) == []
    assert len(custom_bus.requests[0][0]["SystemMetadata"]["EventGroupId"]) == 128
