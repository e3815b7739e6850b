"""Calls to a partner's API: one attempt, in time, and errors that say what to do next."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lambdas.eventing import https, partner
from lambdas.eventing.partner import (
    Failed,
    Limited,
    NoAnswer,
    Partner,
    PartnerError,
    Refused,
    Timeouts,
)
from tests.support.tls_server import Server, certificate, reply, serving, trust

HOST = "api.partner.example"
SECRET = "sk-of-the-shop"
QUICK = Timeouts(connect_s=1.0, read_s=1.0, total_s=2.0)


class Thing(msgspec.Struct):
    """What the partner answers."""

    id: str


@pytest.fixture
def name() -> str:
    """The name in the partner's certificate."""
    return HOST


@pytest.fixture
def server(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The partner's host."""
    system = socket.getaddrinfo
    with serving(certificate(tmp_path, name), monkeypatch) as server:
        # The name is the partner's; the connection goes to this machine.
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, port, *args, **kwargs: system(
                "127.0.0.1" if host == HOST else host, server.port, *args, **kwargs
            ),
        )
        server.answer = says(b'{"id": "t-1", "more": true}')
        yield server


def says(
    body: bytes, status: int = 200, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    """A host that answers with this body."""
    return lambda handler: reply(handler, status, body, **headers)


def call(timeouts: Timeouts = QUICK, **options: Any) -> Thing:
    """Posts to the partner."""
    api = Partner(HOST, headers={"authorization": f"Bearer {SECRET}"}, timeouts=timeouts)
    return api.call("POST", "/v1/things", Thing, **options)


def test_a_form_is_posted_with_the_partners_headers_and_those_of_the_call(server: Server) -> None:
    form = {"amount": "5", "metadata[order]": "o 1&2"}
    assert call(form=form, headers={"idempotency-key": "k-1"}) == Thing("t-1")
    ((target, headers, body),) = server.requests
    sent = {name.lower(): value for name, value in headers.items()}
    assert target == "/v1/things"
    assert body == b"amount=5&metadata%5Border%5D=o+1%262"
    assert sent["content-type"] == "application/x-www-form-urlencoded"
    assert sent["authorization"] == f"Bearer {SECRET}"
    assert sent["idempotency-key"] == "k-1"
    assert sent["host"] == HOST
    assert server.names == [HOST]


def test_json_is_posted(server: Server) -> None:
    assert call(json={"a": [1, "ü"]}) == Thing("t-1")
    ((_, headers, body),) = server.requests
    assert json.loads(body) == {"a": [1, "ü"]}
    assert headers["content-type"] == "application/json"


def test_a_query_is_encoded(server: Server) -> None:
    api = Partner(HOST, headers={}, timeouts=QUICK)
    assert api.call("GET", "/v1/a b", Thing, query={"query": "x:'1'"}) == Thing("t-1")
    assert server.requests[0][0] == "/v1/a%20b?query=x%3A%271%27"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, Failed),
        (307, Failed),
        (400, Refused),
        (401, Refused),
        (402, Refused),
        (404, Refused),
        (408, Failed),
        (409, Refused),
        (422, Refused),
        (429, Limited),
        (500, Failed),
        (503, Failed),
        (599, Failed),
    ],
)
def test_every_other_status_raises_the_error_of_its_kind_after_one_attempt(
    server: Server, status: int, error: type[PartnerError]
) -> None:
    server.answer = says(b'{"id": "t-1"}', status, location=f"https://{HOST}/elsewhere")
    with pytest.raises(error, match=f"^POST {HOST}/v1/things: {status}$") as raised:
        call(form={})
    assert type(raised.value) is error
    assert len(server.requests) == 1


def test_a_refusal_and_a_failure_carry_the_answer(server: Server) -> None:
    for status, error in ((402, Refused), (500, Failed)):
        server.answer = says(b'{"id": "why"}', status, request_id="r-1")
        with pytest.raises(error) as raised:
            call(form={})
        assert isinstance(raised.value, Refused | Failed)
        assert raised.value.answer.status == status
        assert raised.value.answer.body == b'{"id": "why"}'
        assert raised.value.answer.headers["request-id"] == "r-1"


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({}, None),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    ],
)
def test_a_limit_names_the_pause(server: Server, sent: dict[str, str], seconds: int | None) -> None:
    server.answer = says(b"", 429, **sent)
    with pytest.raises(Limited) as raised:
        call(form={})
    assert raised.value.retry_after_s == seconds


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id": 1}', b'{"id": "\xff"}', b"[" * 100_000])
def test_a_malformed_answer_leaves_the_effect_unknown(server: Server, body: bytes) -> None:
    server.answer = says(body)
    with pytest.raises(NoAnswer, match="200 answer is malformed"):
        call(form={})


@pytest.mark.parametrize("size", [partner.LONGEST_ANSWER, partner.LONGEST_ANSWER + 1])
def test_an_answer_is_read_up_to_its_maximum_length(server: Server, size: int) -> None:
    whole = b'{"id": "%s"}'
    server.answer = says(whole % (b"x" * (size - len(whole) + 2)))
    if size == partner.LONGEST_ANSWER:
        assert len(call(form={}).id) > 1_000_000
    else:
        with pytest.raises(NoAnswer, match="more than 1048576 bytes"):
            call(form={})


def test_an_answer_that_is_cut_off_is_no_answer(server: Server) -> None:
    server.answer = says(b'{"id": "t-1"}', content_length="4000")
    with pytest.raises(NoAnswer):
        call(form={})


def test_a_silent_host_times_out(server: Server) -> None:
    hung_up = threading.Event()

    def say_nothing(_: BaseHTTPRequestHandler) -> None:
        hung_up.wait(5)

    server.answer = say_nothing
    with pytest.raises(NoAnswer, match="ReadTimeoutError"):
        call(Timeouts(read_s=0.05), form={})
    hung_up.set()


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 O", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_trickles_in_times_out(server: Server, start: bytes) -> None:
    hung_up = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            handler.wfile.write(start)
            while not hung_up.wait(0.02):
                handler.wfile.write(b" ")

    server.answer = drip
    with pytest.raises(NoAnswer, match="in time"):
        call(Timeouts(read_s=1.0, total_s=0.3), form={})
    hung_up.set()


@pytest.mark.parametrize("name", ["evil.example"])
def test_a_certificate_of_another_host_is_rejected(server: Server) -> None:
    with pytest.raises(NoAnswer, match="SSLError"):
        call(form={})
    assert server.requests == []


def test_a_certificate_of_an_unknown_authority_is_rejected(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(certificate(tmp_path, "authority.example"), monkeypatch)
    with pytest.raises(NoAnswer, match="SSLError"):
        call(form={})
    assert server.requests == []


def test_a_host_that_cannot_be_reached_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(NoAnswer, match="NameResolutionError"):
        call(form={})


def test_no_error_contains_a_secret_a_query_or_a_body(server: Server) -> None:
    query, form = {"email": "ada@example.com"}, {"token": "tok_1"}
    for status, body in ((200, b'{"id": 5, "name": "Ada"}'), (402, b"Ada"), (500, b"Ada")):
        server.answer = says(body, status)
        with pytest.raises(PartnerError) as raised:
            call(query=query, form=form)
        error: BaseException | None = raised.value
        while error:
            for hidden in (SECRET, "ada@example.com", "tok_1", "Ada"):
                assert hidden not in str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_the_certification_authorities_are_read_once() -> None:
    assert https._trust() is https._trust()
