"""Objects in versioned buckets, and the notifications of S3 about them."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote_plus

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing import aws
from tests.support.cloud import REGION
from tests.support.messages import CONTEXT

TEST_EVENT = json.dumps(
    {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-01-05T08:00:00.000Z",
        "Bucket": "files",
        "RequestId": "5582815E1AEA5ADF",
        "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
    }
)
"""The message that S3 sends when notifications are configured."""


def record(
    bucket: str, key: str, version_id: str = "v1", *, size: int = 0, e_tag: str = "e"
) -> dict[str, Any]:
    """The notification of S3 about one stored object.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2026-01-05T08:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:SUPPLIER"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"x-amz-request-id": "request", "x-amz-id-2": "host"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "notification",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "OWNER"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": size,
                "eTag": e_tag,
                "versionId": version_id,
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }


def notification(*records: dict[str, Any]) -> str:
    """The body of the message that S3 puts in a queue."""
    return json.dumps({"Records": records})


def context(*seconds: float) -> LambdaContext:
    """A context whose remaining seconds are these values, one for each call; then the last one."""
    left = list(seconds)

    def remaining() -> int:
        return int(1000 * (left.pop(0) if len(left) > 1 else left[0]))

    return cast(
        LambdaContext,
        SimpleNamespace(**{**vars(CONTEXT), "get_remaining_time_in_millis": remaining}),
    )


@dataclass(frozen=True)
class Bucket:
    """Direct access to a bucket, without the code under test."""

    name: str

    @classmethod
    def versioned(cls, name: str) -> "Bucket":
        """Creates a bucket that keeps all versions."""
        aws.s3().create_bucket(
            Bucket=name,
            CreateBucketConfiguration={"LocationConstraint": REGION},  # type: ignore[typeddict-item]
        )
        aws.s3().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return cls(name)

    def put(self, key: str, content: bytes) -> dict[str, Any]:
        """Stores an object; returns the record of its notification."""
        stored = aws.s3().put_object(Bucket=self.name, Key=key, Body=content)
        e_tag = stored["ETag"].strip('"')
        return record(self.name, key, stored["VersionId"], size=len(content), e_tag=e_tag)

    def get(self, key: str) -> bytes:
        """The content of an object."""
        return aws.s3().get_object(Bucket=self.name, Key=key)["Body"].read()

    def keys(self, prefix: str) -> list[str]:
        """The keys under a prefix."""
        listed = aws.s3().list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def delete(self, key: str, version_id: str | None = None) -> None:
        """Deletes an object or, permanently, one version of it."""
        version = {"VersionId": version_id} if version_id else {}
        aws.s3().delete_object(Bucket=self.name, Key=key, **version)  # type: ignore[arg-type]
