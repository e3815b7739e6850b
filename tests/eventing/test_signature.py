"""Signatures: valid only with the secret, for one body and for a short time."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert

from lambdas.eventing.signature import (
    EASYPOST,
    OWN,
    STRIPE,
    TOLERANCE_S,
    Forged,
    Scheme,
    SignedRequest,
    sign,
    verify,
)

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
BODY = b'{"cents": 1}'
GOOD = sign("secret", BODY, at=NOW)
SECONDS = str(int(NOW.timestamp()))


def check(signature: str, body: bytes = BODY, *, now: datetime = NOW) -> None:
    verify(["secret"], body, signature, now=now)


def test_a_signature_has_the_documented_format() -> None:
    # printf '%s' '1767600000.{"cents": 1}' | openssl dgst -sha256 -hmac secret
    digest = "0ead88a5d3d32f216c7bb036ae3a159bb59da25fd349c5dec42c64bb81125098"
    assert f"t=1767600000,v1={digest}" == GOOD


@given(body=st.binary(), secret=st.text(min_size=1))
def test_a_signed_body_is_valid(body: bytes, secret: str) -> None:
    verify([secret], body, sign(secret, body, at=NOW), now=NOW)


@given(body=st.binary().filter(lambda body: body != BODY))
def test_another_body_is_rejected(body: bytes) -> None:
    with pytest.raises(Forged, match="is not of this body and secret"):
        check(GOOD, body)


@given(secret=st.text().filter(lambda secret: secret != "secret"))
def test_another_secret_is_rejected(secret: str) -> None:
    with pytest.raises(Forged, match="is not of this body and secret"):
        check(sign(secret, BODY, at=NOW))


@pytest.mark.parametrize("off", [-TOLERANCE_S, -1, 0, 1, TOLERANCE_S])
def test_clocks_may_differ_within_the_tolerance(off: int) -> None:
    check(GOOD, now=NOW + timedelta(seconds=off))


@pytest.mark.parametrize("off", [-TOLERANCE_S - 1, TOLERANCE_S + 1, 10**8])
def test_a_signature_outside_the_tolerance_is_rejected(off: int) -> None:
    with pytest.raises(Forged, match="seconds off"):
        check(GOOD, now=NOW + timedelta(seconds=off))


def test_a_changed_time_is_rejected() -> None:
    with pytest.raises(Forged, match="is not of this body and secret"):
        check(GOOD.replace(SECONDS, str(int(SECONDS) + 1)))


def test_digits_cannot_be_moved_between_time_and_body() -> None:
    signature = sign("secret", b"5." + BODY, at=datetime.fromtimestamp(1, UTC))
    with pytest.raises(Forged, match="is not of this body and secret"):
        check(signature.replace("t=1,", "t=15,"))


def test_the_time_zone_of_the_clock_does_not_matter() -> None:
    at = NOW.astimezone(timezone(timedelta(hours=-7)))
    assert sign("secret", BODY, at=at) == GOOD


@pytest.mark.parametrize(
    "signature",
    [
        "",
        " ",
        "t=,v1=",
        GOOD.upper(),
        GOOD.replace("t=", "T="),
        GOOD.partition("v1=")[0] + "v1=" + GOOD.partition("v1=")[2].upper(),
        GOOD + "\n",
        " " + GOOD,
        GOOD + " ",
        GOOD + "," + GOOD,
        GOOD + ",v1=" + "0" * 64,
        GOOD[:-1],
        GOOD + "0",
        GOOD.replace(",", ", "),
        GOOD.replace("v1", "v2"),
        GOOD.replace("t=", "t=-"),
        GOOD.replace("t=", "t=+"),
        GOOD.replace("t=", "t=0x"),
        GOOD.replace(SECONDS, SECONDS + ".0"),
        GOOD.replace(SECONDS, "1" * 13),
        GOOD.replace(SECONDS, "١٧٦٧٦٠٠٠٠٠"),
        GOOD.partition("v1=")[2],
        "v1=" + GOOD.partition("v1=")[2] + ",t=" + SECONDS,
        "\x00" * 80,
        "t=1767600000,v1=" + "é" * 64,
    ],
)
def test_another_format_is_rejected(signature: str) -> None:
    with pytest.raises(Forged, match="sign each request"):
        check(signature)


@given(signature=st.text())
def test_arbitrary_text_is_rejected_without_another_error(signature: str) -> None:
    with pytest.raises(Forged):
        check(signature)


def test_during_a_key_rotation_both_keys_are_valid() -> None:
    for secret in ("new", "old"):
        verify(["new", "old"], BODY, sign(secret, BODY, at=NOW), now=NOW)
    with pytest.raises(Forged):
        verify(["new", "old"], BODY, sign("new old", BODY, at=NOW), now=NOW)


def test_without_any_key_every_signature_is_rejected() -> None:
    with pytest.raises(Forged):
        verify([], BODY, sign("", BODY, at=NOW), now=NOW)


def unread() -> Iterator[str]:
    """Secrets that nobody may read."""
    return map(pytest.fail, ["a secret was read"])


@pytest.mark.parametrize(
    ("scheme", "signature"),
    [
        *((scheme, form) for scheme in (OWN, STRIPE, EASYPOST) for form in ("", "t=1,v1=0")),
        (STRIPE, GOOD.replace("v1", "v0")),
        (EASYPOST, "0" * 64),
    ],
)
def test_no_secret_is_read_for_a_signature_of_another_form(scheme: Scheme, signature: str) -> None:
    headers = {scheme.header: signature}
    request = SignedRequest(method="POST", path="/events", headers=headers, body=BODY)
    with pytest.raises(Forged):
        scheme.verify(unread(), request, now=NOW)


class TestStripe:
    """https://docs.stripe.com/webhooks/signature."""

    def check(self, signature: str) -> None:
        headers = {STRIPE.header: signature}
        request = SignedRequest(method="POST", path="/events", headers=headers, body=BODY)
        STRIPE.verify(["secret"], request, now=NOW)

    def test_one_of_several_signatures_has_to_be_valid(self) -> None:
        digest = GOOD.partition("v1=")[2]
        for signature in (
            GOOD,
            f"{GOOD},v0={'0' * 64}",
            f"t={SECONDS},v1={'0' * 64},v1={digest}",
        ):
            self.check(signature)

    @pytest.mark.parametrize(
        "signature",
        [
            GOOD.replace("v1", "v0"),
            f"t={SECONDS},v1={'0' * 64},v0={GOOD.partition('v1=')[2]}",
            GOOD.replace(SECONDS, str(int(SECONDS) + 1)),
            sign("secret", BODY, at=NOW - timedelta(seconds=TOLERANCE_S + 1)),
            f"{GOOD},t={SECONDS}",
            f"t={SECONDS}",
            "",
            GOOD + f",v0={'0' * 64}" * 11,
        ],
    )
    def test_any_other_signature_is_rejected(self, signature: str) -> None:
        with pytest.raises(Forged):
            self.check(signature)


@given(signature=st.text())
def test_arbitrary_text_is_rejected_as_a_signature_of_stripe(signature: str) -> None:
    with pytest.raises(Forged):
        TestStripe().check(signature)


class TestEasyPost:
    """https://support.easypost.com/hc/en-us/articles/39826034964237-Webhook-HMAC-Validation."""

    HEADERS = EASYPOST.sign("secret", "POST", "/events", BODY, at=NOW)

    def check(self, changed: Mapping[str, object] | None = None, *, now: datetime = NOW) -> None:
        given = {"method": "POST", "path": "/events", "headers": self.HEADERS, "body": BODY}
        EASYPOST.verify(
            ["old", "secret"], convert({**given, **(changed or {})}, SignedRequest), now=now
        )

    def test_a_signature_has_the_documented_format(self) -> None:
        # Made with openssl: the HMAC of the time, `POST/events` and the body, without separators.
        digest = "b180668d310c22877933c392881077d32ab4fbf8fa3a98cba607b3ebf225be3e"
        assert {
            "x-timestamp": "Mon, 05 Jan 2026 08:00:00 +0000",
            "x-path": "/events",
            "x-hmac-signature-v2": f"hmac-sha256-hex={digest}",
        } == self.HEADERS
        self.check()

    @pytest.mark.parametrize("time", ["Mon, 05 Jan 2026 08:00:00 -0000", "05 Jan 2026 09:00 +0100"])
    def test_every_form_of_the_time_is_read(self, time: str) -> None:
        self.check({"headers": self.signed(time)})

    @pytest.mark.parametrize(
        "changed",
        [
            {"method": "PUT"},
            {"body": BODY + b" "},
            {"headers": {**HEADERS, "x-timestamp": "Mon, 05 Jan 2026 08:00:01 +0000"}},
            {"headers": {**HEADERS, "x-path": "/other"}},
        ],
        ids=str,
    )
    def test_any_other_request_is_rejected(self, changed: dict[str, object]) -> None:
        with pytest.raises(Forged, match="is not of this body and secret"):
            self.check(changed)

    @pytest.mark.parametrize(
        "signature", ["", "é" * 64, HEADERS["x-hmac-signature-v2"] + "0", None]
    )
    def test_another_form_is_rejected(self, signature: str | None) -> None:
        changed = {} if signature is None else {**self.HEADERS, "x-hmac-signature-v2": signature}
        with pytest.raises(Forged, match="has not the form"):
            self.check({"headers": changed})

    def test_a_request_for_another_address_is_rejected(self) -> None:
        with pytest.raises(Forged, match="is not the path"):
            self.check({"path": "/other"})

    @pytest.mark.parametrize("off", [-TOLERANCE_S - 1, TOLERANCE_S + 1, 10**8])
    def test_a_signature_outside_the_tolerance_is_rejected(self, off: int) -> None:
        with pytest.raises(Forged, match="seconds off"):
            self.check(now=NOW + timedelta(seconds=off))

    @pytest.mark.parametrize("time", ["", "now", "2026-01-05T08:00:00Z", "32 Jan 2026 08:00 +0000"])
    def test_another_form_of_the_time_is_rejected(self, time: str) -> None:
        with pytest.raises(Forged, match="RFC 2822"):
            self.check({"headers": self.signed(time)})

    @staticmethod
    def signed(time: str) -> dict[str, str]:
        """Headers whose signature is valid for any text in place of the time."""
        digest = EASYPOST._digest("secret", time, "POST", "/events", BODY)
        return {
            "x-timestamp": time,
            "x-path": "/events",
            "x-hmac-signature-v2": f"hmac-sha256-hex={digest}",
        }


@given(signature=st.text(), time=st.text())
def test_arbitrary_text_is_rejected_as_headers_of_easypost(signature: str, time: str) -> None:
    case = TestEasyPost()
    changed = {"x-hmac-signature-v2": signature, "x-timestamp": time}
    for headers in ({**case.HEADERS, **changed}, case.signed(time)):
        with pytest.raises(Forged):
            case.check({"headers": headers})
