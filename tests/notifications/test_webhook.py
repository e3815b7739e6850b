"""Requests to customers' hosts: public addresses only, valid certificates, no redirects."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lambdas.notifications import webhook
from lambdas.notifications.webhook import Forbidden, Unreachable, is_public, post

HOST = "hooks.example.com"
URL = f"https://{HOST}/orders?token=t"
# Every block of the registries, and the blocks outside global unicast and multicast.
# https://www.iana.org/assignments/iana-ipv4-special-registry
# https://www.iana.org/assignments/iana-ipv6-special-registry
# https://www.iana.org/assignments/ipv6-address-space
NOT_PUBLIC = [
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/32",
    "192.0.0.171/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.88.99.2/32",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "::/8",
    "100::/8",
    "200::/7",
    "400::/6",
    "800::/5",
    "1000::/4",
    "4000::/3",
    "6000::/3",
    "8000::/3",
    "a000::/3",
    "c000::/3",
    "e000::/4",
    "f000::/5",
    "f800::/6",
    "fe00::/9",
    "fec0::/10",
    "ff00::/8",
]
PRIVATE = ["::7f00:1", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "fd00:ec2::254", "fe80::1%eth0"]
"""Addresses with another address or a zone in them."""
PUBLIC = [
    "1.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::",
    "2606:4700::1111",
    "2620:4f:8001::",
    "3ffe:ffff::",
]


@dataclass
class Dns:
    """A name server for one host that counts its lookups."""

    answers: list[list[str]]
    asked: int = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replaces the lookup of names; the system handles addresses."""
        system = socket.getaddrinfo

        def lookup(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
            if host != HOST:
                ip_address(host)  # raises ValueError for any other name
                return system(host, port, *args, **kwargs)
            self.asked += 1
            addresses = self.answers[min(self.asked, len(self.answers)) - 1]
            return [
                (socket.AF_INET6 if ":" in address else socket.AF_INET, 1, 6, "", (address, port))
                for address in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)


@pytest.mark.parametrize("block", NOT_PUBLIC)
def test_no_address_of_a_special_block_is_public(block: str) -> None:
    network = ip_network(block)
    middle = network[network.num_addresses // 2]
    assert not any(map(is_public, [network[0], network[1 % network.num_addresses], middle]))
    assert not is_public(network[-1])


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_embeds_another_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_on_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


class TestForbidden:
    @pytest.fixture(autouse=True)
    def no_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def connect(*_: Any, **__: Any) -> None:
            pytest.fail("it connects")

        monkeypatch.setattr(webhook, "_Pool", connect)

    @pytest.mark.parametrize("address", PRIVATE)
    @pytest.mark.parametrize("others", [[], ["93.184.216.34"]], ids=["alone", "among-public"])
    def test_a_host_with_a_private_address_is_not_called(
        self, monkeypatch: pytest.MonkeyPatch, address: str, others: list[str]
    ) -> None:
        for addresses in ([address, *others], [*others, address]):
            Dns([addresses]).install(monkeypatch)
            with pytest.raises(Forbidden, match="not public"):
                post(URL, b"{}", {})

    @pytest.mark.parametrize(
        "url",
        [
            f"http://{HOST}/",
            f"https://{HOST}:8443/",
            f"https://ada@{HOST}/",
            "https://93.184.216.34/",
            "https://localhost/",
        ],
    )
    def test_a_stored_url_that_breaks_the_rules_is_not_looked_up(
        self, monkeypatch: pytest.MonkeyPatch, url: str
    ) -> None:
        dns = Dns([["93.184.216.34"]])
        dns.install(monkeypatch)
        with pytest.raises(Forbidden):
            post(url, b"{}", {})
        assert dns.asked == 0


def test_a_failed_lookup_is_a_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(Unreachable):
        post(URL, b"{}", {})


@dataclass
class Server:
    """A customer's host on this machine, with a certificate for HOST."""

    authority: Path
    port: int = 0
    names: list[str | None] = field(default_factory=list)
    """The server names of the TLS handshakes."""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: reply(handler, 204)


def reply(handler: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


def certificate(directory: Path, name: str) -> Path:
    """Creates a key and a self-signed certificate for `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def name() -> str:
    """The name in the host's certificate."""
    return HOST


@pytest.fixture
def server(tmp_path: Path, name: str) -> Iterator[Server]:
    """A server that handles one request at a time."""
    state = Server(certificate(tmp_path, name))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.requests.append((self.path, dict(self.headers.items()), body))
            state.answer(self)

        def log_message(self, *_: Any) -> None:
            """Logs nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(state.authority)
    context.sni_callback = lambda _, name, __: state.names.append(name)
    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        state.port = http.server_port
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield state
        http.shutdown()
        thread.join()


class TestConnection:
    @pytest.fixture(autouse=True)
    def dns(self, monkeypatch: pytest.MonkeyPatch, server: Server) -> Dns:
        """The first lookup gives an address that counts as public, later ones a private address."""
        dns = Dns([["127.0.0.1"], ["10.0.0.1"]])
        dns.install(monkeypatch)
        monkeypatch.setattr(webhook, "is_public", lambda address: str(address) == "127.0.0.1")
        monkeypatch.setattr(webhook, "PORT", server.port)
        monkeypatch.setattr(webhook, "READ_S", 2.0)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        return dns

    def test_it_posts_to_the_host_under_its_name(self, server: Server) -> None:
        assert post(URL, b'{"a": 1}', {"content-type": "application/json"}) == 204
        ((target, headers, body),) = server.requests
        assert target == "/orders?token=t"
        assert headers["host"] == HOST
        assert headers["content-type"] == "application/json"
        assert body == b'{"a": 1}'
        assert server.names == [HOST]

    def test_the_name_is_looked_up_once(self, server: Server, dns: Dns) -> None:
        assert post(URL, b"{}", {}) == 204
        assert dns.asked == 1
        with pytest.raises(Forbidden):
            post(URL, b"{}", {})
        assert len(server.requests) == 1

    def test_a_redirect_is_returned_and_not_followed(self, server: Server, dns: Dns) -> None:
        server.answer = lambda handler: reply(handler, 307, location=URL)
        assert post(URL, b"{}", {}) == 307
        assert (len(server.requests), dns.asked) == (1, 1)

    def test_a_failure_is_not_retried(self, server: Server) -> None:
        server.answer = lambda handler: reply(handler, 503)
        assert post(URL, b"{}", {}) == 503
        assert len(server.requests) == 1

    def test_an_endless_body_is_not_read(self, server: Server) -> None:
        def flood(handler: BaseHTTPRequestHandler) -> None:
            reply(handler, 200)
            with suppress(OSError):  # until the caller hangs up
                while True:
                    handler.wfile.write(b"x" * 65536)

        server.answer = flood
        assert post(URL, b"{}", {}) == 200

    def test_a_missing_response_times_out(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hung_up = threading.Event()
        monkeypatch.setattr(webhook, "READ_S", 0.05)

        def say_nothing(_: BaseHTTPRequestHandler) -> None:
            hung_up.wait(5)

        server.answer = say_nothing
        with pytest.raises(Unreachable, match=r"^ReadTimeoutError$"):
            post(URL, b"{}", {})
        hung_up.set()

    def test_a_response_that_trickles_in_times_out(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each byte arrives within the read timeout, but the response never ends."""
        hung_up = threading.Event()
        monkeypatch.setattr(webhook, "TOTAL_S", 0.3)

        def drip(handler: BaseHTTPRequestHandler) -> None:
            with suppress(OSError):
                handler.wfile.write(b"HTTP/1.1 200 O")
                while not hung_up.wait(0.02):
                    handler.wfile.write(b"K")

        server.answer = drip
        with pytest.raises(Unreachable):
            post(URL, b"{}", {})
        hung_up.set()

    def test_a_handshake_that_trickles_in_times_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hung_up = threading.Event()
        monkeypatch.setattr(webhook, "TOTAL_S", 0.3)

        def drip(listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"\x16\x03\x03\x40\x00")  # a long record, to be continued
                while not hung_up.wait(0.02):
                    connection.sendall(b"\x02")

        with socket.create_server(("127.0.0.1", 0)) as listener:
            monkeypatch.setattr(webhook, "PORT", listener.getsockname()[1])
            thread = threading.Thread(target=drip, args=(listener,))
            thread.start()
            with pytest.raises(Unreachable):
                post(URL, b"{}", {})
            hung_up.set()
            thread.join()

    def test_a_lookup_that_uses_up_the_time_prevents_the_request(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lookup, nothing = socket.getaddrinfo, threading.Event()
        monkeypatch.setattr(webhook, "TOTAL_S", 0.02)
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda *where, **how: nothing.wait(0.1) or lookup(*where, **how)
        )
        with pytest.raises(Unreachable, match="in time"):
            post(URL, b"{}", {})
        assert server.requests == []

    @pytest.mark.parametrize("name", ["evil.example.com"])
    def test_a_certificate_of_another_host_is_rejected(self, server: Server) -> None:
        with pytest.raises(Unreachable, match=r"^SSLError$"):
            post(URL, b"{}", {})
        assert server.requests == []

    def test_a_certificate_of_an_unknown_authority_is_rejected(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path, "authority.example.com")))
        with pytest.raises(Unreachable, match=r"^SSLError$"):
            post(URL, b"{}", {})
        assert server.requests == []

    def test_a_refused_connection_is_a_transient_error(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            monkeypatch.setattr(webhook, "PORT", unused.getsockname()[1])
        with pytest.raises(Unreachable, match=r"^NewConnectionError$"):
            post(URL, b"{}", {})
