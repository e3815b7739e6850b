"""The relay: publishes events from an outbox, through its table's stream, on the bus."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing import aws, telemetry
from lambdas.eventing.event import MAX_EVENT_BYTES
from lambdas.eventing.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import (
        PutEventsRequestEntryTypeDef,
        PutEventsResultEntryTypeDef,
    )

MAX_ENTRIES = 10
"""Entries in one PutEvents request.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html"""

_ENVELOPE_BYTES = 1024
"""Reserved bytes for the fields that PutEvents counts besides the detail."""


class RelaySettings(Settings, frozen=True, kw_only=True):
    """The bus on which the relay publishes."""

    event_bus_name: str


Record = dict[str, Any]


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Publishes the outbox items of a stream batch in their order.

    It stops at the first request with a failed entry, and reports the lowest failed sequence
    number. The stream delivers again from there, so the order is kept.
    """
    try:
        for batch in _batches(event["Records"]):
            response = aws.events().put_events(Entries=[_entry(record) for record in batch])
            if response["FailedEntryCount"]:
                return _failure(batch, response["Entries"])
            telemetry.count("PublishedEvents", len(batch))
        return {"batchItemFailures": []}
    finally:
        telemetry.flush()


def _failure(
    batch: list[Record], results: "Sequence[PutEventsResultEntryTypeDef]"
) -> dict[str, list[dict[str, str]]]:
    failed = [index for index, result in enumerate(results) if "ErrorCode" in result]
    first = failed[0]
    telemetry.logger().warning(
        "bus refused events", count=len(failed), error=results[first]["ErrorCode"]
    )
    telemetry.count("PublishedEvents", len(batch) - len(failed))
    telemetry.count("RefusedEvents", len(failed))
    return {"batchItemFailures": [{"itemIdentifier": batch[first]["dynamodb"]["SequenceNumber"]}]}


def _batches(records: list[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        record_size = len(_image(record)["detail"]["S"].encode()) + _ENVELOPE_BYTES
        if batch and (len(batch) == MAX_ENTRIES or size + record_size > MAX_EVENT_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += record_size
    if batch:
        yield batch


def _entry(record: Record) -> "PutEventsRequestEntryTypeDef":
    image = _image(record)
    return {
        "EventBusName": _settings().event_bus_name,
        "Source": image["source"]["S"],
        "DetailType": image["detail_type"]["S"],
        "Detail": image["detail"]["S"],
    }


def _image(record: Record) -> dict[str, dict[str, str]]:
    image: dict[str, dict[str, str]] = record["dynamodb"]["NewImage"]
    return image


@cache
def _settings() -> RelaySettings:
    return RelaySettings.from_environ()
