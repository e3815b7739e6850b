"""The suppliers' bucket: a supplier's files and the reports on them have prefixes of their own."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Annotated, BinaryIO

import msgspec
from botocore.exceptions import ClientError
from msgspec import Meta

from lambdas.eventing import aws
from lambdas.eventing.consumer import Unprocessable
from lambdas.eventing.misconfiguration import blames_configuration
from lambdas.eventing.stored_object import StoredObject
from lambdas.inventory.csv_table import Refused, check_size
from lambdas.inventory.stock_file import Report

INCOMING = "incoming/"
REPORTS = "reports/"

SupplierName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,30}$(?!\n)",
        description="The supplier: 1 to 31 of a-z 0-9 -",
        examples=["north"],
    ),
]
"""The name of a supplier is the name of their folder."""

_GONE = {"NoSuchKey", "NoSuchVersion"}
_UNREADABLE = {
    "InvalidObjectState": "the file is in archive storage: upload it in the class STANDARD",
    "InvalidRequest": "the file is encrypted with your own key: upload it without SSE-C",
}
"""S3's error codes for files that the function cannot read, with the reason for the report.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
_KMS = re.compile(r"\bkms\b|ciphertext", re.IGNORECASE)
"""Words in an error that blames a KMS key. The bucket has none, but an upload may name one.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-kms-encryption.html"""
_MAX_FOLDER = 100
_MAX_KEY_BYTES = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""


@dataclass(frozen=True)
class Upload:
    """A file of a supplier, and its upload time to the second."""

    content: BinaryIO
    at: datetime


def supplier_of(file: StoredObject) -> str:
    """Returns the supplier in whose folder a file is. Raises Refused."""
    name, slash, _ = file.key.removeprefix(INCOMING).partition("/")
    try:
        return msgspec.convert(name if slash else None, SupplierName)
    except msgspec.ValidationError:
        raise Refused(
            f"the file is in no supplier's folder: upload it to {INCOMING}SUPPLIER/, where "
            "SUPPLIER has 1 to 31 of a-z 0-9 -"
        ) from None


@contextmanager
def opened(file: StoredObject) -> Iterator[Upload]:
    """Opens this version of the file.

    It is copied to the function's disk first, because S3 would not wait while rows are committed.

    Raises Refused for a folder, and for a file that is too large or cannot be read. Raises
    Unprocessable if the version was deleted.
    """
    if file.key.endswith("/") and not file.size:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-folders.html
        raise Refused("this is a folder, not a file: files in it are imported one by one")
    try:
        found = aws.s3().get_object(Bucket=file.bucket, Key=file.key, VersionId=file.version_id)
    except ClientError as error:
        code, said = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code in _GONE:
            raise Unprocessable(f"it was deleted before it was read: {file.name}") from error
        if code in _UNREADABLE:
            raise Refused(_UNREADABLE[code]) from error
        if blames_configuration(code, said) and _KMS.search(f"{code} {said}"):
            raise Refused("the file is encrypted with a key of KMS: upload it without") from error
        raise
    with closing(found["Body"]) as body, TemporaryFile() as content:
        check_size(found["ContentLength"])
        copyfileobj(body, content)
        yield Upload(content, found["LastModified"])


def report_key(file: StoredObject) -> str:
    """Returns the key of the report on this version of a file.

    It is in the folder of the file's supplier, too. If the key would be too long for S3, a SHA-256
    of the file's key replaces the file's name.
    """
    name = file.key.removeprefix(INCOMING).rstrip("/")
    key = _report_key(name, file)
    if len(key.encode()) > _MAX_KEY_BYTES:
        supplier, slash, _ = name.partition("/")
        folder = f"{supplier}/" if slash and len(supplier) < _MAX_FOLDER else ""
        return _report_key(f"{folder}{sha256(file.key.encode()).hexdigest()}", file)
    return key


def answer(file: StoredObject, report: Report) -> None:
    """Stores the report under its key, and overwrites an earlier report."""
    aws.s3().put_object(
        Bucket=file.bucket,
        Key=report_key(file),
        Body=report.to_json(),
        ContentType="application/json",
    )


def _report_key(name: str, file: StoredObject) -> str:
    folder = f"{REPORTS}{name}/" if name else REPORTS
    return f"{folder}{file.version_id}.json"
