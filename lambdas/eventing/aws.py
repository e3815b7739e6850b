"""AWS clients: made on first use, kept for the life of the execution environment."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

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


def kinesis() -> "KinesisClient":
    """The Kinesis Data Streams client."""
    return client("kinesis")  # type: ignore[no-any-return]


def s3() -> "S3Client":
    """The S3 client."""
    return client("s3")  # type: ignore[no-any-return]


def scheduler() -> "EventBridgeSchedulerClient":
    """The EventBridge Scheduler client."""
    return client("scheduler")  # type: ignore[no-any-return]


def secrets() -> "SecretsManagerClient":
    """The Secrets Manager client."""
    return client("secretsmanager")  # type: ignore[no-any-return]


def ses() -> "SESV2Client":
    """The SES client. It asks once: an e-mail has no idempotency key."""
    return client("sesv2", read_timeout_s=5)  # type: ignore[no-any-return]


def sns() -> "SNSClient":
    """The SNS client. It asks once: a text message has no idempotency key."""
    return client("sns", read_timeout_s=5)  # type: ignore[no-any-return]


def sqs() -> "SQSClient":
    """The SQS client."""
    return client("sqs")  # type: ignore[no-any-return]


def stepfunctions() -> "SFNClient":
    """The Step Functions client."""
    return client("stepfunctions")  # type: ignore[no-any-return]
