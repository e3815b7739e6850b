"""Signatures of HTTP bodies: prove who sent them, and when."""

import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

HEADER = "orderflow-signature"
"""`t=<seconds since the epoch>,v1=<hexadecimal HMAC-SHA256 of "t.body">`."""

TOLERANCE_S = 300
"""The maximum age of a signature, and the maximum difference of the clocks."""

_FORM = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


class Forged(Exception):
    """The signature is missing, malformed, too old or too new, or not of this body."""


def sign(secret: str, body: bytes, *, at: datetime) -> str:
    """Returns the value of HEADER for `body`, signed at the aware time `at`."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={_digest(secret, seconds, body)}"


def verify(secrets: Iterable[str], body: bytes, signature: str, *, now: datetime) -> None:
    """Raises Forged unless `signature` is of `body`, by one of `secrets`, and of about `now`.

    During a rotation, two secrets are valid. Without any, no signature is.
    """
    found = _FORM.fullmatch(signature)
    if not found:
        raise Forged(f"{HEADER}: sign each request, as t=<seconds>,v1=<hexadecimal HMAC>")
    seconds, digest = found.groups()
    # Compared in constant time, before anything else in the header is used.
    expected = [_digest(secret, seconds, body) for secret in secrets]
    if not any(hmac.compare_digest(digest, candidate) for candidate in expected):
        raise Forged(f"{HEADER}: is not of this body and secret")
    if abs(now.timestamp() - int(seconds)) > TOLERANCE_S:
        raise Forged(f"{HEADER}: t is more than {TOLERANCE_S} seconds off")


def _digest(secret: str, seconds: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{seconds}.".encode() + body, sha256).hexdigest()
