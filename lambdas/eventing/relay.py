"""The relay: publishes events from an outbox, through its table's stream, on the bus."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing import aws, telemetry
from lambdas.eventing.event import MAX_EVENT_BYTES, Cause
from lambdas.eventing.settings import Settings
from lambdas.eventing.trace import TraceContext

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsResultEntryTypeDef

MAX_ENTRIES = 10
"""Entries in one PutEvents request to a classic bus.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html"""

MAX_CUSTOM_ENTRIES = 100
"""Entries in one PutEvents request to a Custom Event Bus.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""

MAX_ID_LENGTH = 128
"""Characters in the id of an event group.
https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_PutEvents.html"""

_ENVELOPE_BYTES = 1024
"""Reserved bytes for the fields that PutEvents counts besides the detail."""


_NAME = "eventing.relay"


class _Traced(msgspec.Struct):
    """The part of an event that the relay reads."""

    traceparent: Any = None


class RelaySettings(Settings, frozen=True, kw_only=True):
    """The bus on which the relay publishes."""

    event_bus_arn: str
    """The ARN of a classic bus or of a Custom Event Bus."""


Record = dict[str, Any]


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Publishes the outbox items of a stream batch in their order.

    It stops at the first request with a failed entry, and reports the lowest failed sequence
    number. The stream delivers again from there, so the order is kept.
    """
    records = event["Records"]
    cause = Cause(correlation_id=context.aws_request_id)
    links = [link for link in map(_link, records) if link]
    try:
        with telemetry.span(cause, name=_NAME, kind="producer", links=links) as span:
            failures = _publish_all(records)
            if failures:
                span.outcome = "failed"
            return {"batchItemFailures": failures}
    finally:
        telemetry.flush()


def _publish_all(records: list[Record]) -> list[dict[str, str]]:
    for batch in _batches(records):
        response = _publish(batch)
        if response["FailedEntryCount"]:
            return _failure(batch, response["Entries"])
        telemetry.count("PublishedEvents", len(batch))
    return []


def _publish(batch: list[Record]) -> Any:
    bus = _settings().event_bus_arn
    if _is_custom():
        ordered = [{**_entry(record), "SystemMetadata": _identity(record)} for record in batch]
        return aws.events_v2().put_events(EventBusArn=bus, Entries=ordered)
    entries: list[Any] = [{"EventBusName": bus, **_entry(record)} for record in batch]
    return aws.events().put_events(Entries=entries)


def _is_custom() -> bool:
    return ":event-busv2/" in _settings().event_bus_arn


def _identity(record: Record) -> dict[str, str]:
    """Returns the group of an event, its aggregate, and the id that tells repetitions.

    The same fact in several versions has one CloudEvents id, so the id is that of the outbox item.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-ordering.html
    """
    image = _image(record)
    item = image["sk"]["S"].removeprefix("OUTBOX#")
    return {"EventGroupId": image["pk"]["S"][:MAX_ID_LENGTH], "DeduplicationId": item}


def _failure(
    batch: list[Record], results: "Sequence[PutEventsResultEntryTypeDef]"
) -> list[dict[str, str]]:
    failed = [index for index, result in enumerate(results) if "ErrorCode" in result]
    first = failed[0]
    telemetry.logger().warning(
        "bus refused events", count=len(failed), error=results[first]["ErrorCode"]
    )
    telemetry.count("PublishedEvents", len(batch) - len(failed))
    telemetry.count("RefusedEvents", len(failed))
    return [{"itemIdentifier": batch[first]["dynamodb"]["SequenceNumber"]}]


def _batches(records: list[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    most = MAX_CUSTOM_ENTRIES if records and _is_custom() else MAX_ENTRIES
    for record in records:
        record_size = len(_image(record)["detail"]["S"].encode()) + _ENVELOPE_BYTES
        if batch and (len(batch) == most or size + record_size > MAX_EVENT_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += record_size
    if batch:
        yield batch


def _entry(record: Record) -> dict[str, Any]:
    """Returns an entry. It names its bus, so that a bridge to another bus knows its own events."""
    image = _image(record)
    return {
        "Source": image["source"]["S"],
        "DetailType": image["detail_type"]["S"],
        "Detail": image["detail"]["S"],
        "Resources": [_settings().event_bus_arn],
    }


def _link(record: Record) -> str | None:
    """Returns the `traceparent` of the span that committed an event, if it has one."""
    try:
        found = msgspec.json.decode(_image(record)["detail"]["S"], type=_Traced).traceparent
    except msgspec.MsgspecError:
        return None
    return found if TraceContext.read(found) else None


def _image(record: Record) -> dict[str, dict[str, str]]:
    image: dict[str, dict[str, str]] = record["dynamodb"]["NewImage"]
    return image


@cache
def _settings() -> RelaySettings:
    return RelaySettings.from_environ()


telemetry.loaded()
