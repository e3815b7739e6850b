"""AWS clients: created on first use, kept for the life of the execution environment."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
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
# the pauses between them (up to 1 and 2 seconds) take at most 9 seconds.
# https://docs.aws.amazon.com/boto3/latest/guide/retries.html
_BRISK = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}
)


@cache
def client(service: str, *, read_timeout_s: int | None = None) -> Any:
    """Returns the client of `service`, with a read timeout in seconds (2 by default)."""
    config = _BRISK
    if read_timeout_s is not None:
        # A call with a long timeout must not be repeated.
        config = _BRISK.merge(
            Config(read_timeout=read_timeout_s, retries={"total_max_attempts": 1})
        )
    return boto3.client(service, config=config)  # type: ignore[call-overload]


def cognito() -> "CognitoIdentityProviderClient":
    """Returns the client of Cognito user pools."""
    return client("cognito-idp")  # type: ignore[no-any-return]


def dynamodb() -> "DynamoDBClient":
    """Returns the DynamoDB client."""
    return client("dynamodb")  # type: ignore[no-any-return]


def events() -> "EventBridgeClient":
    """Returns the EventBridge client."""
    return client("events")  # type: ignore[no-any-return]


def events_v2() -> Any:
    """Returns the client of EventBridge's Custom Event Bus."""
    return client("eventbridgev2")


def kinesis() -> "KinesisClient":
    """Returns the Kinesis Data Streams client."""
    return client("kinesis")  # type: ignore[no-any-return]


def s3() -> "S3Client":
    """Returns the S3 client."""
    return client("s3")  # type: ignore[no-any-return]


def scheduler() -> "EventBridgeSchedulerClient":
    """Returns the EventBridge Scheduler client."""
    return client("scheduler")  # type: ignore[no-any-return]


def secrets() -> "SecretsManagerClient":
    """Returns the Secrets Manager client."""
    return client("secretsmanager")  # type: ignore[no-any-return]


def ses() -> "SESV2Client":
    """Returns the SES client. It does not retry: an e-mail has no idempotency key."""
    return client("sesv2", read_timeout_s=5)  # type: ignore[no-any-return]


def sns() -> "SNSClient":
    """Returns the SNS client. It does not retry: a text message has no idempotency key."""
    return client("sns", read_timeout_s=5)  # type: ignore[no-any-return]


def sqs() -> "SQSClient":
    """Returns the SQS client."""
    return client("sqs")  # type: ignore[no-any-return]


def stepfunctions() -> "SFNClient":
    """Returns the Step Functions client."""
    return client("stepfunctions")  # type: ignore[no-any-return]
