"""The suppliers' bucket: files come in under one prefix, and are answered under another."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import BinaryIO

from botocore.exceptions import ClientError

from lambdas.eventing import aws
from lambdas.eventing.consumer import Unprocessable
from lambdas.eventing.stored_object import StoredObject
from lambdas.inventory.stock_file import Refused, Report

INCOMING = "incoming/"
REPORTS = "reports/"
SUFFIX = ".csv"
MAX_BYTES = 50 * 1024 * 1024

_GONE = {"NoSuchKey", "NoSuchVersion"}
_MAX_KEY_BYTES = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""


@dataclass(frozen=True)
class Upload:
    """What a supplier left, and when, to the second."""

    content: BinaryIO
    at: datetime


@contextmanager
def opened(file: StoredObject) -> Iterator[Upload]:
    """This version of the file.

    It is copied to the function's disk first: S3 would not wait while rows are committed. Raises
    Refused over MAX_BYTES, and Unprocessable if the version is gone.
    """
    try:
        found = aws.s3().get_object(Bucket=file.bucket, Key=file.key, VersionId=file.version_id)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            raise Unprocessable(f"it was deleted before it was read: {file.name}") from error
        raise
    with closing(found["Body"]) as body, TemporaryFile() as content:
        if found["ContentLength"] > MAX_BYTES:
            raise Refused(f"the file has more than {MAX_BYTES} bytes: split it")
        copyfileobj(body, content)
        yield Upload(content, found["LastModified"])


def report_key(file: StoredObject) -> str:
    """Where the report on this version of a file is put, and nothing else.

    Raises Unprocessable if the key would be too long.
    """
    key = f"{REPORTS}{file.key.removeprefix(INCOMING)}/{file.version_id}.json"
    if len(key.encode()) > _MAX_KEY_BYTES:
        raise Unprocessable(f"its name is too long for that of its report, {key}")
    return key


def answer(file: StoredObject, key: str, report: Report) -> None:
    """Puts the report where the supplier looks for it, in place of an earlier one."""
    aws.s3().put_object(
        Bucket=file.bucket, Key=key, Body=report.to_json(), ContentType="application/json"
    )
