"""Callbacks: the signature is checked before anything else."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient
from msgspec import Raw

from lambdas.eventing import aws
from lambdas.eventing.callback import Callback, CallbackSettings, Forged, callback
from lambdas.eventing.http import Request
from lambdas.eventing.signature import HEADER, sign
from tests.support.cloud import Cloud
from tests.support.messages import CONTEXT, Answer, Call

BODY = '{"coin": "¢"}'


@dataclass
class Partner:
    """Calls a handler, and records the requests that reach it."""

    accepted: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.handler = callback(body=Raw, answers=dict)(self._take)

    def _take(self, request: Request, _: Raw) -> dict[str, str]:
        """Accepts a request."""
        self.accepted.append(request)
        return {}

    def call(
        self,
        headers: Mapping[str, str],
        body: str | None = BODY,
        *,
        encoded: bool = False,
    ) -> Answer:
        call = Call(route="POST /coins", body=body, headers=headers, encoded=encoded)
        return call.send(self.handler)


@pytest.fixture
def arn(cloud: Cloud) -> str:
    created = aws.secrets().create_secret(Name="partner", SecretString="key")["ARN"]
    cloud.configure(CallbackSettings(callback_secret_arn=created).as_environment())
    return created


@pytest.fixture
def calls(arn: str, cloud: Cloud) -> list[str]:
    """The operations of AWS that are called from now on."""
    seen: list[str] = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        seen.append(operation)
        return original(client, operation, parameters)

    cloud.monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return seen


@pytest.fixture
def partner(arn: str) -> Partner:
    return Partner()


def signed(body: str = BODY, secret: str = "key", *, off: float = 0) -> dict[str, str]:
    at = datetime.now(UTC) + timedelta(seconds=off)
    return {HEADER: sign(secret, body.encode(), at=at)}


def test_a_signed_request_is_accepted(partner: Partner) -> None:
    assert partner.call(signed()).status == 200
    (request,) = partner.accepted
    assert request.caller == "partner"
    assert request.claims == {}
    assert request.correlation_id == "request-1"
    assert request.decode(dict[str, str]) == {"coin": "¢"}
    assert Forged in partner.handler.refusals


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {HEADER: ""},
        {HEADER: "t=1,v1=0"},
        {"authorization": "Bearer a.b.c"},
        signed(secret="another key"),
        signed(BODY + " "),
        signed(off=-100_000),
        signed(off=100_000),
    ],
    ids=["none", "empty", "malformed", "token", "other key", "other body", "old", "future"],
)
def test_any_other_request_is_rejected_before_it_reaches_the_handler(
    partner: Partner, headers: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = partner.call(headers)
    assert answer.status == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["code"] == "forged"
    assert partner.accepted == []
    assert '"ForgedCallbacks":[1.0]' in capsys.readouterr().out


@pytest.mark.parametrize("header", ["", "t=1,v1=00", "t=x,v1=" + "0" * 64, "v1=" + "0" * 64])
def test_a_signature_of_another_form_is_rejected_without_any_call(
    partner: Partner, calls: list[str], header: str
) -> None:
    assert partner.call({HEADER: header}).status == 401
    assert calls == []


def test_many_forged_requests_read_the_secret_once(partner: Partner, calls: list[str]) -> None:
    for number in range(20):
        forged = signed(secret=f"guess {number}")
        assert partner.call(forged).status == 401
    assert calls == ["GetSecretValue"]


def test_a_rejection_does_not_disclose_the_expected_signature(partner: Partner) -> None:
    answer = partner.call(signed(secret="another key"))
    right = signed()[HEADER].partition("v1=")[2]
    assert right not in json.dumps(answer.json)


def test_a_token_does_not_replace_the_signature(partner: Partner) -> None:
    event = Call(route="POST /coins", body=BODY).event()
    assert partner.handler(event, CONTEXT)["statusCode"] == 401


def test_a_callback_needs_no_authorizer(partner: Partner) -> None:
    event = Call(route="POST /coins", body=BODY, headers=signed()).event()
    del event["requestContext"]["authorizer"]
    assert partner.handler(event, CONTEXT)["statusCode"] == 200


def test_the_signature_applies_to_the_decoded_body(partner: Partner) -> None:
    encoded = b64encode(BODY.encode()).decode()
    assert partner.call(signed(), encoded, encoded=True).status == 200
    assert partner.call(signed(encoded), encoded, encoded=True).status == 401
    (request,) = partner.accepted
    assert request.body == BODY.encode()


def test_signed_bytes_that_are_not_text_are_invalid_json(partner: Partner) -> None:
    body = bytes(range(256))
    headers = {HEADER: sign("key", body, at=datetime.now(UTC))}
    answer = partner.call(headers, b64encode(body).decode(), encoded=True)
    assert answer.json["code"] == "invalid_json"


@pytest.mark.parametrize("body", [None, ""])
def test_a_missing_body_is_signed_as_an_empty_one(partner: Partner, body: str | None) -> None:
    assert partner.call(signed(""), body).json["code"] == "invalid_json"
    assert partner.call(signed(), body).status == 401


def test_a_repeated_request_is_accepted_while_its_signature_is_valid(partner: Partner) -> None:
    headers = signed()
    assert [partner.call(headers).status for _ in range(2)] == [200, 200]
    assert len(partner.accepted) == 2  # the handler has to detect repetitions


def test_during_a_key_rotation_both_keys_are_valid(partner: Partner, arn: str) -> None:
    aws.secrets().put_secret_value(SecretId=arn, SecretString="new key")
    statuses = [partner.call(signed(secret=secret)).status for secret in ("new", "key", "new key")]
    assert statuses == [200, 200, 401]


@pytest.mark.parametrize("value", [" ", "\n"])
def test_a_secret_without_a_key_rejects_every_request(
    partner: Partner, arn: str, value: str
) -> None:
    aws.secrets().put_secret_value(SecretId=arn, SecretString=value)
    for secret in ("", value, "key"):
        assert partner.call(signed(secret=secret)).status == 401


def test_without_its_secret_the_handler_accepts_nothing(partner: Partner, cloud: Cloud) -> None:
    cloud.configure(CallbackSettings(callback_secret_arn="gone").as_environment())
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        partner.call(signed())
    assert partner.accepted == []


def test_a_handler_keeps_its_module_and_docstring() -> None:
    def take(request: Request, body: Raw) -> str:
        """Takes it."""
        raise NotImplementedError

    made: Any = callback(body=Raw, answers=str)(take)
    assert isinstance(made, Callback)
    assert made.__doc__ == "Takes it."
    assert made.__module__ == __name__
