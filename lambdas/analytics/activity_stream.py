"""Puts customers' activity on the stream."""

import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lambdas.analytics.settings import settings
from lambdas.eventing import aws, telemetry
from lambdas.eventing.event import CloudEvent

if TYPE_CHECKING:
    from mypy_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.1


class Refused(Exception):
    """The stream rejected some records in every attempt."""


def put(envelopes: Sequence[CloudEvent]) -> None:
    """Puts up to 500 events on the stream, in the same form as the bus does.

    A request may succeed in part: only rejected records are sent again. Raises Refused if some are
    left after several attempts.
    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
    """
    records: list[PutRecordsRequestEntryTypeDef] = [
        {"Data": f'{{"detail":{envelope.to_json()}}}'.encode(), "PartitionKey": envelope.id}
        for envelope in envelopes
    ]
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, _FIRST_PAUSE_S * 2**attempt))
        answer = aws.kinesis().put_records(StreamName=settings().stream_name, Records=records)
        results = zip(records, answer["Records"], strict=True)
        records = [record for record, result in results if "ErrorCode" in result]
        if not records:
            return
        telemetry.count("RefusedRecords", len(records))
    raise Refused(f"{len(records)} of {len(envelopes)} records")
