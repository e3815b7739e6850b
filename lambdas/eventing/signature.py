"""Signatures of HTTP bodies: prove who sent them, and when."""

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
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
_PREFIXED = re.compile(r"hmac-sha256-hex=([0-9a-f]{64})")


class Forged(Exception):
    """The signature is missing, malformed, too old or too new, or not of this body."""


class SignedRequest(Struct, frozen=True, kw_only=True):
    """The parts of a request that a partner may sign. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Scheme(Protocol):
    """How a partner signs its callbacks."""

    @property
    def header(self) -> str:
        """The name of the header with the signature, in lower case."""

    @property
    def form(self) -> str:
        """The form of the signature, for the API's documentation."""

    def verify(self, secrets: Iterable[str], request: SignedRequest, *, now: datetime) -> None:
        """Raises Forged unless `request` is signed by one of `secrets`, at about `now`.

        During a rotation, two secrets are valid. Without any, no signature is. Secrets are not read
        if the signature has another form, because to read them may cost a call.
        """


_SECONDS = "`t=<seconds since the epoch>,v1=<hexadecimal HMAC-SHA256 of 't.body'>`"


class OwnScheme(Struct, frozen=True):
    """HEADER, with one signature."""

    header: str = HEADER
    form: str = _SECONDS

    def verify(self, secrets: Iterable[str], request: SignedRequest, *, now: datetime) -> None:
        """See `Scheme`."""
        verify(secrets, request.body, request.headers.get(HEADER, ""), now=now)


class StripeScheme(Struct, frozen=True):
    """Stripe-Signature: the same HMAC, several times while a secret is rolled.

    Signatures of other schemes than `v1` do not count.
    https://docs.stripe.com/webhooks/signature
    """

    header: str = "stripe-signature"
    form: str = _SECONDS

    def verify(self, secrets: Iterable[str], request: SignedRequest, *, now: datetime) -> None:
        """See `Scheme`."""
        found = _LIST.fullmatch(request.headers.get(self.header, ""))
        signatures = [part.partition("=") for part in found[2][1:].split(",")] if found else []
        digests = [digest for name, _, digest in signatures if name == "v1"]
        if not found or not digests:
            raise Forged(f"{self.header}: has not the form t=<seconds>,v1=<hexadecimal HMAC>")
        _verify(secrets, request.body, found[1], digests, header=self.header, now=now)


class EasyPostScheme(Struct, frozen=True):
    """EasyPost's second scheme: an HMAC over time, method, path and body.

    https://support.easypost.com/hc/en-us/articles/39826034964237-Webhook-HMAC-Validation
    """

    header: str = "x-hmac-signature-v2"
    form: str = (
        "`hmac-sha256-hex=<hexadecimal HMAC-SHA256 of time, method, path and body>`, with the time "
        "(RFC 2822) in x-timestamp and the path in x-path"
    )
    time_header: str = "x-timestamp"
    path_header: str = "x-path"

    def sign(
        self, secret: str, method: str, path: str, body: bytes, *, at: datetime
    ) -> dict[str, str]:
        """Returns the headers of a request that is signed at the aware time `at`."""
        time = format_datetime(at)
        digest = self._digest(secret, time, method, path, body)
        return {
            self.header: f"hmac-sha256-hex={digest}",
            self.time_header: time,
            self.path_header: path,
        }

    def verify(self, secrets: Iterable[str], request: SignedRequest, *, now: datetime) -> None:
        """See `Scheme`."""
        time = request.headers.get(self.time_header, "")
        path = request.headers.get(self.path_header, "")
        found = _PREFIXED.fullmatch(request.headers.get(self.header, ""))
        if not found:
            raise Forged(f"{self.header}: has not the form hmac-sha256-hex=<hexadecimal HMAC>")
        expected = [self._digest(key, time, request.method, path, request.body) for key in secrets]
        _compare([found[1]], expected, header=self.header)
        if path != request.path:
            raise Forged(f"{self.path_header}: is not the path of this request")
        _check_time(_moment(time, self.time_header), now, self.time_header)

    @staticmethod
    def _digest(secret: str, time: str, method: str, path: str, body: bytes) -> str:
        signed = f"{time}{method}{path}".encode() + body
        return hmac.new(secret.encode(), signed, sha256).hexdigest()


OWN = OwnScheme()
STRIPE = StripeScheme()
EASYPOST = EasyPostScheme()


def sign(secret: str, body: bytes, *, at: datetime) -> str:
    """Returns the value of HEADER for `body`, signed at the aware time `at`."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={_digest(secret, seconds, body)}"


def verify(secrets: Iterable[str], body: bytes, signature: str, *, now: datetime) -> None:
    """Raises Forged unless `signature` is of `body`, by one of `secrets`, and of about `now`."""
    found = _FORM.fullmatch(signature)
    if not found:
        raise Forged(f"{HEADER}: sign each request, as t=<seconds>,v1=<hexadecimal HMAC>")
    _verify(secrets, body, found[1], [found[2]], header=HEADER, now=now)


def _verify(
    secrets: Iterable[str],
    body: bytes,
    seconds: str,
    digests: Sequence[str],
    *,
    header: str,
    now: datetime,
) -> None:
    _compare(digests, [_digest(secret, seconds, body) for secret in secrets], header=header)
    _check_time(int(seconds), now, f"{header}: t")


def _compare(digests: Sequence[str], expected: Sequence[str], *, header: str) -> None:
    """Raises Forged unless a digest is expected. Call this before anything else is read."""
    # In constant time.
    if not any(hmac.compare_digest(*pair) for pair in product(digests, expected)):
        raise Forged(f"{header}: is not of this body and secret")


def _check_time(seconds: float, now: datetime, what: str) -> None:
    if abs(now.timestamp() - seconds) > TOLERANCE_S:
        raise Forged(f"{what} is more than {TOLERANCE_S} seconds off")


def _moment(time: str, header: str) -> float:
    """Returns a time in the form of RFC 2822 in seconds since the epoch."""
    try:
        moment = parsedate_to_datetime(time)
    except ValueError as error:
        raise Forged(f"{header}: is not a time as in RFC 2822") from error
    # The zone -0000 is UTC, too: https://www.rfc-editor.org/rfc/rfc2822#section-3.3
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _digest(secret: str, seconds: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{seconds}.".encode() + body, sha256).hexdigest()
