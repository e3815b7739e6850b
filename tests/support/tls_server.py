"""An HTTPS server on this machine, for tests of outgoing requests."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lambdas.eventing import https
from tools.bench.local_host import certificate

__all__ = ["Server", "certificate", "reply", "serving", "trust"]


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
