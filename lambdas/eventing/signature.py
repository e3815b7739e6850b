"""Signatures of HTTP bodies: prove who sent them, and when."""

import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import product
from typing import Protocol

from msgspec import Struct

HEADER = "orderflow-signature"
"""`t=<seconds since the epoch>,v1=<hexadecimal HMAC-SHA256 of "t.body">`."""

TOLERANCE_S = 300
"""The maximum age of a signature, and the maximum difference of the clocks."""

_FORM = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")
_LIST = re.compile(r"t=([0-9]{1,12})((?:,[a-z0-9]+=[0-9a-f]{64}){1,10})")


class Forged(Exception):
    """The signature is missing, malformed, too old or too new, or not of this body."""


class Scheme(Protocol):
    """How a partner signs its callbacks."""

    @property
    def header(self) -> str:
        """The name of the header with the signature, in lower case."""

    def verify(self, secrets: Iterable[str], body: bytes, signature: str, *, now: datetime) -> None:
        """Raises Forged unless `signature` is of `body`, by one of `secrets`, and of about `now`.

        During a rotation, two secrets are valid. Without any, no signature is.
        """


class OwnScheme(Struct, frozen=True):
    """HEADER, with one signature."""

    header: str = HEADER

    def verify(self, secrets: Iterable[str], body: bytes, signature: str, *, now: datetime) -> None:
        """See `Scheme`."""
        found = _FORM.fullmatch(signature)
        if not found:
            raise Forged(f"{HEADER}: sign each request, as t=<seconds>,v1=<hexadecimal HMAC>")
        _verify(secrets, body, found[1], [found[2]], header=HEADER, now=now)


class StripeScheme(Struct, frozen=True):
    """Stripe-Signature: the same HMAC, several times while a secret is rolled.

    Signatures of other schemes than `v1` do not count.
    https://docs.stripe.com/webhooks/signature
    """

    header: str = "stripe-signature"

    def verify(self, secrets: Iterable[str], body: bytes, signature: str, *, now: datetime) -> None:
        """See `Scheme`."""
        found = _LIST.fullmatch(signature)
        if not found:
            raise Forged(f"{self.header}: has not the form t=<seconds>,v1=<hexadecimal HMAC>")
        signatures = [part.partition("=") for part in found[2][1:].split(",")]
        digests = [digest for name, _, digest in signatures if name == "v1"]
        _verify(secrets, body, found[1], digests, header=self.header, now=now)


OWN = OwnScheme()
STRIPE = StripeScheme()


def sign(secret: str, body: bytes, *, at: datetime) -> str:
    """Returns the value of HEADER for `body`, signed at the aware time `at`."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={_digest(secret, seconds, body)}"


def verify(secrets: Iterable[str], body: bytes, signature: str, *, now: datetime) -> None:
    """Verifies the shop's own signature; see `Scheme`."""
    OWN.verify(secrets, body, signature, now=now)


def _verify(
    secrets: Iterable[str],
    body: bytes,
    seconds: str,
    digests: Sequence[str],
    *,
    header: str,
    now: datetime,
) -> None:
    # Compared in constant time, before anything else in the header is used.
    expected = [_digest(secret, seconds, body) for secret in secrets]
    if not any(hmac.compare_digest(*pair) for pair in product(digests, expected)):
        raise Forged(f"{header}: is not of this body and secret")
    if abs(now.timestamp() - int(seconds)) > TOLERANCE_S:
        raise Forged(f"{header}: t is more than {TOLERANCE_S} seconds off")


def _digest(secret: str, seconds: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{seconds}.".encode() + body, sha256).hexdigest()
