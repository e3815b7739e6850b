"""The world outside: hosts that answer, slowly or not at all, and everything unknown."""

from __future__ import annotations

import gc
import json
import socket
import ssl
import threading
import time
from http.client import HTTPResponse
from typing import Any

import pytest
import urllib3

from cdk_rehearsal import FAULTS, Rehearsal, RehearsalError, sites_passed
from cdk_rehearsal.latency import Latency
from cdk_rehearsal.services.web import Host, Request, Response, operation_of
from rehearsal.cloud import Cloud
from rehearsal.conftest import Rehearse

START = 1767600000.0
ADDRESS = "203.0.113.7"

# Resolves once, connects to what it found, and checks the certificate against the name.
CALLER = """
    import socket, time, urllib3
    def handler(event, context):
        name = event.get("name", "partner.example")
        started = time.time()
        try:
            found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
            address = event.get("address") or found[0][4][0]
            pool = urllib3.HTTPSConnectionPool(
                address, 443, server_hostname=name, assert_hostname=event.get("assert", name),
                timeout=urllib3.Timeout(connect=2, read=3), cert_reqs="CERT_REQUIRED",
            )
            answer = pool.urlopen("POST", "/hook?a=1", body='{"x": 1}', redirect=False,
                retries=False, headers={"Host": name, "Content-Type": "application/json"})
            result = [answer.status, dict(answer.headers), answer.data.decode()]
        except (OSError, urllib3.exceptions.HTTPError) as error:
            result = [type(error).__name__, str(error)]
        return {"result": result, "took": time.time() - started}
"""


@pytest.fixture
def shop(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    """A function that calls the hook of a partner."""
    template.function("Function", CALLER, Timeout=30)
    return rehearse()


def accept(request: Request) -> Response:
    return 202, {"Content-Type": "text/plain", "X-Seen": request.headers["host"]}, "thanks"


def call(shop: Rehearsal, **event: Any) -> Any:
    answer = shop.invoke("Shop/Function", event)
    assert not answer.failed, answer.payload
    return answer.payload["result"]


def test_a_host_gets_the_request_and_answers_it(shop: Rehearsal) -> None:
    host = shop.web.host("partner.example", accept, addresses=[ADDRESS])
    status, headers, body = call(shop)
    assert (status, headers["X-Seen"], body) == (202, "partner.example", "thanks")
    (request,) = host.requests
    assert (request.method, request.target, request.body) == ("POST", "/hook?a=1", b'{"x": 1}')
    assert request.headers["content-type"] == "application/json"
    assert (request.address, request.port, request.is_tls) == (ADDRESS, 443, True)
    assert request.sender == "Shop/Function"
    host.requests.clear()
    assert host.requests == []
    (record,) = shop.meter.of("outbound")
    assert (record.source, record.target, record.detail["status"]) == (
        "Shop/Function",
        "partner.example",
        202,
    )


def test_a_host_may_have_addresses_of_both_kinds(template: Cloud, rehearse: Rehearse) -> None:
    template.function(
        "Function",
        """
        import socket
        def handler(event, context):
            found = socket.getaddrinfo("Partner.example.", 443, **event)
            return sorted({entry[4][0] for entry in found})
        """,
    )
    shop = rehearse()
    shop.web.host("partner.example", accept, addresses=["2001:db8::7", ADDRESS])
    assert shop.invoke("Shop/Function", {}).payload == ["2001:db8::7", ADDRESS]
    four = int(socket.AF_INET)
    assert shop.invoke("Shop/Function", {"family": four}).payload == [ADDRESS]


SITE = "POST partner.example/hook"


@pytest.mark.parametrize(
    ("name", "result", "acted"),
    [
        ("host-silent", "ReadTimeoutError", False),
        ("host-lost", "ReadTimeoutError", True),
        ("host-limits", 429, False),
        ("host-fails", 500, False),
        ("host-down", 500, False),
        ("host-breaks", 500, True),
        ("host-garbles", 202, True),
    ],
)
def test_a_fault_acts_at_the_edge_to_a_host(
    shop: Rehearsal, name: str, result: str | int, acted: bool
) -> None:
    effects: list[str] = []

    def act(request: Request) -> Response:
        effects.append(request.target)
        return accept(request)

    shop.web.host("partner.example", act, addresses=[ADDRESS])
    shop.faults.plan(FAULTS[name], source="Shop/Function", operation=SITE)
    first, *_, last = call(shop)
    assert first == result
    assert bool(effects) is acted
    if name == "host-garbles":
        assert last != "thanks"
    shop.faults.clear()
    assert call(shop)[0] == 202


def test_a_fault_at_another_operation_does_not_act(shop: Rehearsal) -> None:
    shop.web.host("partner.example", accept, addresses=[ADDRESS])
    shop.faults.plan(FAULTS["host-down"], operation="POST partner.example/other")
    assert call(shop)[0] == 202


def test_an_impostor_shows_the_certificate_of_another_host(shop: Rehearsal) -> None:
    host = shop.web.host("partner.example", accept, addresses=[ADDRESS])
    shop.faults.plan(FAULTS["impostor"], source="Shop/Function", times=1)
    assert call(shop)[0] == "SSLError"
    assert host.requests == []
    assert call(shop)[0] == 202


def test_a_request_to_a_host_is_a_site_of_faults_whatever_the_ids_in_its_path(
    shop: Rehearsal,
) -> None:
    shop.web.host("partner.example", accept, addresses=[ADDRESS])
    call(shop)
    (site,) = (site for site in sites_passed(shop.meter.records, []) if site.kind == "web")
    assert (site.source, site.operation) == ("Shop/Function", SITE)
    assert operation_of("GET", "a.example", "/v1/pi_000123/x?y=1") == "GET a.example/v1/*/x"


def test_a_host_that_is_too_slow_is_not_waited_for(shop: Rehearsal) -> None:
    done: list[float] = []

    def respond(request: Request) -> Response:
        time.sleep(10)
        done.append(time.time())
        return 200, {}, b""

    shop.web.host("partner.example", respond, addresses=[ADDRESS])
    answer = shop.invoke("Shop/Function", {})
    assert answer.payload["result"][0] == "ReadTimeoutError"
    assert answer.payload["took"] == 3
    assert shop.meter.of("outbound")[0].detail["status"] is None
    # It does not know, and carries on: the caller must not take this for a refusal.
    shop.run_until_idle()
    assert done == [START + 10]


def test_a_timeout_leaves_no_unfinished_response(
    shop: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[bool] = []
    close = HTTPResponse.close

    def watched(response: HTTPResponse) -> None:
        finished.append(hasattr(response, "fp"))
        close(response)

    monkeypatch.setattr(HTTPResponse, "close", watched)

    def respond(request: Request) -> Response:
        time.sleep(10)
        return 200, {}, b""

    shop.web.host("partner.example", respond, addresses=[ADDRESS])
    assert call(shop)[0] == "ReadTimeoutError"
    gc.collect()
    # As of Python 3.13 what is unfinished raises while it is collected, in whatever test that is.
    assert finished
    assert all(finished)


def test_a_host_that_takes_its_time_answers_in_virtual_time(shop: Rehearsal) -> None:
    def respond(request: Request) -> Response:
        shop.scheduler.sleep(2.5)
        return 200, {}, b""

    shop.web.host("partner.example", respond, addresses=[ADDRESS])
    answer = shop.invoke("Shop/Function", {})
    assert (answer.payload["result"][0], answer.payload["took"]) == (200, 2.5)


def test_a_host_that_drips_resets_the_read_timeout_with_each_byte(shop: Rehearsal) -> None:
    host = shop.web.host("partner.example", lambda _: (200, {}, b""), addresses=[ADDRESS])
    host.drip_s = 2
    answer = shop.invoke("Shop/Function", {})
    assert answer.failed, "the function reaches its own timeout first"
    host.drip_s = 0.05
    status, _, body = call(shop)
    assert (status, body) == (200, "")
    host.drip_s = 4
    answer = shop.invoke("Shop/Function", {})
    assert (answer.payload["result"][0], answer.payload["took"]) == ("ReadTimeoutError", 3)


def test_a_timer_of_a_handler_ends_a_dripping_answer_in_virtual_time(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.function(
        "Function",
        """
        import socket, time, urllib3
        from threading import Timer
        from urllib3.connection import HTTPSConnection
        def handler(event, context):
            started = time.time()
            class Watched(HTTPSConnection):
                def _new_conn(self):
                    found = super()._new_conn()
                    timer = Timer(event["after"], found.dup().shutdown, [socket.SHUT_RDWR])
                    timer.start()
                    if event["cancels"]:
                        timer.cancel()
                    return found
            pool = urllib3.HTTPSConnectionPool("partner.example", 443)
            pool.ConnectionCls = Watched
            try:
                result = pool.urlopen("GET", "/", retries=False).status
            except urllib3.exceptions.HTTPError as error:
                result = type(error).__name__
            return [result, time.time() - started]
        """,
        Timeout=300,
    )
    shop = rehearse()
    host = shop.web.host("partner.example", lambda _: (200, {}, b""), addresses=[ADDRESS])
    host.drip_s = 1
    result, took = shop.invoke("Shop/Function", {"after": 5.5, "cancels": False}).payload
    assert (result, 5.5 <= took <= 6.5) == ("ProtocolError", True)
    assert shop.invoke("Shop/Function", {"after": 5.5, "cancels": True}).payload[0] == 200


def test_a_host_may_refuse_connections(shop: Rehearsal) -> None:
    host = shop.web.host("partner.example", accept, addresses=[ADDRESS])
    host.on_connect = "refuse"
    error, message = call(shop)
    assert (error, "Connection refused" in message) == ("NewConnectionError", True)
    host.on_connect = "accept"
    assert call(shop)[0] == 202
    assert len(host.requests) == 1


def test_a_silent_host_lets_the_caller_wait(shop: Rehearsal) -> None:
    shop.web.host("partner.example", accept, addresses=[ADDRESS]).on_connect = "silent"
    answer = shop.invoke("Shop/Function", {})
    assert answer.payload["result"][0] == "ConnectTimeoutError"
    assert answer.payload["took"] == 2


def test_a_redirect_is_an_answer_like_any_other(shop: Rehearsal) -> None:
    def respond(request: Request) -> Response:
        return 307, {"Location": "https://169.254.169.254/"}, ""

    shop.web.host("partner.example", respond, addresses=[ADDRESS])
    status, headers, _ = call(shop)
    assert (status, headers["Location"]) == (307, "https://169.254.169.254/")


def test_a_certificate_is_for_its_own_name(shop: Rehearsal) -> None:
    shop.web.host("partner.example", accept, addresses=[ADDRESS])
    other = shop.web.host("other.example", accept, addresses=["198.51.100.1"])
    error, message = call(shop, address="198.51.100.1")
    assert error == "SSLError"
    assert "not valid for 'partner.example'" in message
    assert call(shop, **{"assert": "else.example"})[0] == "SSLError"
    assert other.requests == []


def test_hosts_at_one_address_are_told_apart_by_name(shop: Rehearsal) -> None:
    def is_named(name: str) -> Host:
        return shop.web.host(name, lambda _: (200, {}, name), addresses=[ADDRESS])

    is_named("other.example")
    is_named("partner.example")
    assert call(shop)[2] == "partner.example"


def test_a_name_without_addresses_does_not_resolve(shop: Rehearsal) -> None:
    shop.web.host("partner.example", accept, addresses=[])
    assert call(shop)[0] == "gaierror"


def test_what_a_name_stands_for_can_change(shop: Rehearsal) -> None:
    host = shop.web.host("partner.example", accept, addresses=[ADDRESS])
    call(shop)
    host.addresses = ["10.0.0.1"]
    call(shop)
    assert [request.address for request in host.requests] == [ADDRESS, "10.0.0.1"]


def test_an_error_of_the_host_itself_ends_the_rehearsal(shop: Rehearsal) -> None:
    def respond(request: Request) -> Response:
        raise ZeroDivisionError("in the test")

    shop.web.host("partner.example", respond, addresses=[ADDRESS])
    with pytest.raises(ZeroDivisionError, match="in the test"):
        shop.invoke("Shop/Function", {})


# -- unknown ------------------------------------------------------------------------------


def test_an_unknown_host_is_an_error_that_names_it_and_the_function(shop: Rehearsal) -> None:
    with pytest.raises(RehearsalError, match=r"Shop/Function reaches for the host nobody\.example"):
        shop.invoke("Shop/Function", {"name": "nobody.example"})


def test_an_unknown_address_is_an_error_that_names_it_and_the_function(shop: Rehearsal) -> None:
    shop.web.host("partner.example", accept, addresses=[ADDRESS])
    with pytest.raises(RehearsalError, match=r"Shop/Function reaches for the address 192\.0\.2\.1"):
        shop.invoke("Shop/Function", {"address": "192.0.2.1"})


@pytest.mark.parametrize(
    "code",
    [
        'socket.create_connection(("203.0.113.7", 443), 1)',
        'socket.socket(type=socket.SOCK_DGRAM).connect(("203.0.113.7", 53))',
        'urllib.request.urlopen("http://203.0.113.7/")',
        'http.client.HTTPSConnection("203.0.113.7").request("GET", "/")',
        'socket.socket().connect_ex(("127.0.0.1", 80))',
        'socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("203.0.113.7", 53))',
        'socket.gethostbyname("partner.example")',
    ],
)
def test_other_ways_out_are_errors_even_if_the_handler_catches_them(
    template: Cloud, rehearse: Rehearse, code: str
) -> None:
    template.function(
        "Function",
        f"""
        import contextlib, http.client, socket, urllib.request
        def handler(event, context):
            with contextlib.suppress(Exception):
                {code}
        """,
    )
    shop = rehearse()
    shop.web.host("partner.example", accept, addresses=[ADDRESS])
    with pytest.raises(RehearsalError, match=r"Shop/Function reaches for .* other means"):
        shop.invoke("Shop/Function", {})


def test_only_handlers_are_spared_the_authorities_of_the_machine(
    template: Cloud, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        ssl.SSLContext, "load_default_certs", lambda *_: read.append("the machine's")
    )
    template.function(
        "Function",
        "import ssl\ndef handler(event, context): "
        "return ssl.create_default_context().check_hostname",
    )
    shop = rehearse()

    assert shop.invoke("Shop/Function", {}).payload is True
    assert read == []
    ssl.create_default_context()
    assert read == ["the machine's"]


def test_aws_and_everybody_but_handlers_are_left_alone(template: Cloud, rehearse: Rehearse) -> None:
    template.function(
        "Function",
        "import boto3\ndef handler(event, context): return len("
        'boto3.client("sqs").list_queues()["ResponseMetadata"])',
    )
    shop = rehearse()
    assert not shop.invoke("Shop/Function", {}).failed
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 1).close()
    assert socket.getaddrinfo("127.0.0.1", 80)


def test_after_the_rehearsal_everything_is_as_it_was(template: Cloud) -> None:
    before = (
        socket.getaddrinfo,
        socket.socket.connect,
        urllib3.util.connection.create_connection,
        urllib3.connection._ssl_wrap_socket_and_match_hostname,
        threading.Timer.start,
    )
    template.function("Function", CALLER)
    with Rehearsal(template.write()):
        assert socket.getaddrinfo is not before[0]
    assert before == (
        socket.getaddrinfo,
        socket.socket.connect,
        urllib3.util.connection.create_connection,
        urllib3.connection._ssl_wrap_socket_and_match_hostname,
        threading.Timer.start,
    )


def test_one_seed_takes_one_time(template: Cloud) -> None:
    template.function("Function", CALLER, Timeout=30)
    template.write()

    def took(seed: int) -> str:
        with Rehearsal(template.directory, seed=seed, latency=Latency()) as shop:
            shop.web.host("partner.example", accept, addresses=[ADDRESS])
            return json.dumps(shop.invoke("Shop/Function", {}).payload)

    assert took(1) == took(1)
    assert took(1) != took(2)
