"""How AWS counts what it bills: pure rules, each with its page."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

KB = 1024
GB = 1024**3
MONTH_S = 730 * 3600
"""The seconds of a month, as AWS counts its hours: https://calculator.aws/#/estimate."""

CHUNK = 64 * KB
"""A request to a queue or topic, or an event, of so many bytes counts once.
https://aws.amazon.com/sqs/pricing/
https://aws.amazon.com/sns/pricing/
https://aws.amazon.com/eventbridge/pricing/"""

API_CHUNK = 512 * KB
"""A request to an HTTP API of so many bytes counts once.
https://aws.amazon.com/api-gateway/pricing/"""

LOG_EVENT = 26
"""Bytes that are counted for each log event, besides its message.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""

ITEM = 100
"""Bytes that are stored for each item of a table and of an index, besides its attributes.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""

RESERVOIR, SHARE = 1, 0.05
"""X-Ray samples so many requests in each second, and this share of the others.
https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"""

POLLERS, POLL_S = 5, 20
"""A mapping has at least so many long polls at a queue, each for so many seconds.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"""

DATA_KEY_S = 300
"""A resource that encrypts with a key of KMS makes two requests in so many seconds.
https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html"""

Attributes = Mapping[str, Mapping[str, Any]]
"""An item in the JSON of DynamoDB."""


def chunks(size: int, of: int) -> int:
    """Returns how many units a size counts: at least one, and each part as a whole one."""
    return max(1, math.ceil(size / of))


# -- DynamoDB ---------------------------------------------------------------------------------


def item_bytes(attributes: Attributes) -> int:
    """Returns the size of an item: the names of its attributes and their values.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(_length(name) + _value_bytes(value) for name, value in attributes.items())


def _value_bytes(typed: Mapping[str, Any]) -> int:
    ((kind, value),) = typed.items()
    if kind == "N":
        return _number_bytes(str(value))
    if kind in ("NULL", "BOOL"):
        return 1
    if kind == "M":
        return 3 + sum(_length(name) + 1 + _value_bytes(part) for name, part in value.items())
    if kind == "L":
        return 3 + sum(1 + _value_bytes(part) for part in value)
    if kind == "NS":
        return sum(_number_bytes(str(part)) for part in value)
    return sum(map(_length, value)) if kind in ("SS", "BS") else _length(value)


def _number_bytes(text: str) -> int:
    """One byte for two significant digits, and one more; a sign takes another."""
    digits = re.sub(r"[eE].*|[^0-9]", "", text).strip("0")
    return math.ceil(len(digits) / 2) + 1 + text.startswith("-")


def _length(text: str | bytes) -> int:
    return len(text.encode() if isinstance(text, str) else text)


def write_units(before: int | None, after: int | None, *, transactional: bool = False) -> int:
    """Returns the units of a write, given the sizes of the item, None if there is none.

    The larger of both counts, and a transaction counts it twice.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """
    return chunks(max(before or 0, after or 0), KB) * (2 if transactional else 1)


def index_units(before: Attributes | None, after: Attributes | None, keys: Sequence[str]) -> int:
    """Returns the units of an index for a change of an item, as the index has it.

    An entry whose key changes is deleted and written. An entry that stays the same costs nothing.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
    """
    if before == after:
        return 0
    sizes = [None if each is None else item_bytes(each) for each in (before, after)]
    if before is not None and after is not None and any(before[k] != after[k] for k in keys):
        return write_units(sizes[0], None) + write_units(None, sizes[1])
    return write_units(*sizes)


def read_units(size: int, *, consistent: bool = False, transactional: bool = False) -> float:
    """Returns the units of a read of so many bytes, which may be those of a whole query.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """
    return chunks(size, 4 * KB) * (2 if transactional else 1 if consistent else 0.5)


# -- polls, samples, time ---------------------------------------------------------------------


def empty_polls(messages_per_s: float) -> float:
    """Returns how many long polls of a mapping end empty in a second.

    Messages come independently of each other, and each ends the poll of one of the pollers. So a
    poll ends empty if none comes for its poller within its time.
    """
    longest = POLL_S / POLLERS
    if messages_per_s * longest < 1e-9:
        return 1 / longest
    rarer = -messages_per_s * longest
    return messages_per_s * math.exp(rarer) / -math.expm1(rarer)


def sampled(before: int) -> float:
    """Returns how probably a request is traced, given the number of those before in its second."""
    return 1.0 if before < RESERVOIR else SHARE


def function_gb_s(seconds: float, memory_mb: int) -> float:
    """Returns the GB-seconds of an invocation: each millisecond that begins counts.

    https://aws.amazon.com/lambda/pricing/
    """
    return math.ceil(round(seconds * 1000, 3)) / 1000 * memory_mb / 1024


def express_gb_s(seconds: float) -> float:
    """Returns the GB-seconds of an Express execution of at most 64 MB.

    Each 100 ms and 64 MB that begin count: https://aws.amazon.com/step-functions/pricing/
    """
    return max(1, math.ceil(round(seconds * 10, 6))) / 10 * 64 / 1024


def event_requests(size: int) -> int:
    """Returns the requests of an asynchronous event: 256 KB, and each further 64 KB, count once.

    https://aws.amazon.com/lambda/pricing/
    """
    return 1 + math.ceil(max(0, size - 256 * KB) / CHUNK)


# -- logs -------------------------------------------------------------------------------------

_TIME = "2026-01-05T08:00:00.000Z"
_TRACE = f"1-{'0' * 8}-{'0' * 24}"
_SEGMENT = "0" * 16


def platform_bytes(
    logging: Mapping[str, Any],
    *,
    request_id: str,
    arn: str,
    memory_mb: int,
    seconds: float,
    traced: bool,
) -> int:
    """Returns the bytes of the log events by which Lambda reports an invocation.

    ``logging`` is the function's LoggingConfig: with JSON, the level WARN leaves them out.
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """
    if logging.get("LogFormat") != "JSON":
        lines = _text_lines(request_id, memory_mb, seconds, traced=traced)
    elif logging.get("SystemLogLevel", "INFO") != "WARN":
        lines = _json_lines(request_id, arn, memory_mb, seconds, traced=traced)
    else:
        lines = []
    return sum(len(line) + LOG_EVENT for line in lines)


def _text_lines(request_id: str, memory_mb: int, seconds: float, *, traced: bool) -> list[str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html."""
    report = (
        f"REPORT RequestId: {request_id}\tDuration: {seconds * 1000:.2f} ms\t"
        f"Billed Duration: {math.ceil(seconds * 1000)} ms\tMemory Size: {memory_mb} MB\t"
        "Max Memory Used: 100 MB\t\n"
    )
    if traced:
        report += f"XRAY TraceId: {_TRACE}\tSegmentId: {_SEGMENT}\tSampled: true\t\n"
    start = f"START RequestId: {request_id} Version: $LATEST\n"
    return [start, f"END RequestId: {request_id}\n", report]


def _json_lines(
    request_id: str, arn: str, memory_mb: int, seconds: float, *, traced: bool
) -> list[str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html."""
    value = f"Root={_TRACE};Parent={_SEGMENT};Sampled=1"
    tracing = {"spanId": _SEGMENT, "type": "X-Amzn-Trace-Id", "value": value}
    more = {"tracing": tracing} if traced else {}
    metrics = {
        "durationMs": round(seconds * 1000, 3),
        "billedDurationMs": math.ceil(seconds * 1000),
        "memorySizeMB": memory_mb,
        "maxMemoryUsedMB": 100,
    }
    records = {
        "platform.start": {
            "requestId": request_id,
            "functionArn": arn,
            "version": "$LATEST",
            **more,
        },
        "platform.report": {
            "requestId": request_id,
            "metrics": metrics,
            **more,
            "status": "success",
        },
    }
    return [
        json.dumps({"time": _TIME, "type": type_, "record": record}, separators=(",", ":"))
        for type_, record in records.items()
    ]
