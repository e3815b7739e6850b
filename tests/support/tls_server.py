"""An HTTPS server on this machine, for tests of outgoing requests."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lambdas.eventing import https


@dataclass
class Server:
    """A server, what it received, and how it answers."""

    port: int = 0
    names: list[str | None] = field(default_factory=list)
    """The server names of the TLS handshakes."""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: reply(handler, 204)


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Sends an answer."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


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


def trust(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a certificate the only one that requests trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setattr(https, "_trust", ssl.create_default_context)


@contextmanager
def serving(authority: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Runs a server with a trusted certificate; it handles one request at a time."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            state.requests.append((self.path, dict(self.headers.items()), body))
            state.answer(self)

        do_GET = do_POST = _take  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Logs nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    context.sni_callback = lambda _, name, __: state.names.append(name)
    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        state.port = http.server_port
        http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        trust(authority, monkeypatch)
        yield state
        http.shutdown()
        thread.join()
