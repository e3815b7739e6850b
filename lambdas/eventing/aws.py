"""AWS clients: made on first use, kept for the life of the execution environment."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

# A call that hangs must fail while its function still has time to report it: three attempts and
# the pauses between them (up to 1 and 2 seconds) take 9 seconds at most.
# https://docs.aws.amazon.com/boto3/latest/guide/retries.html
_BRISK = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}
)


@cache
def client(service: str, *, read_timeout_s: int | None = None) -> Any:
    """The client of `service`, with `read_timeout_s` seconds of patience (2 by default)."""
    config = _BRISK
    if read_timeout_s is not None:
        # Whoever waits long for an answer must not ask twice.
        config = _BRISK.merge(
            Config(read_timeout=read_timeout_s, retries={"total_max_attempts": 1})
        )
    return boto3.client(service, config=config)  # type: ignore[call-overload]


def dynamodb() -> "DynamoDBClient":
    """The DynamoDB client."""
    return client("dynamodb")  # type: ignore[no-any-return]


def events() -> "EventBridgeClient":
    """The EventBridge client."""
    return client("events")  # type: ignore[no-any-return]


def sqs() -> "SQSClient":
    """The SQS client."""
    return client("sqs")  # type: ignore[no-any-return]
