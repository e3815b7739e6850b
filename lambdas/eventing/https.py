"""One HTTPS request under one deadline: no redirects, no retries, a bounded answer."""

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from threading import Timer
from typing import Any

import urllib3
from msgspec import Struct
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError

PORT = 443
_PART = 65_536
_TOO_SLOW = "the host did not answer in time"


class NoAnswer(Exception):
    """There is no valid answer. The request may have arrived all the same.

    The text names the kind of error, and neither the URL nor a header.
    """


class HttpAnswer(Struct, frozen=True):
    """An answer. The names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Deadline:
    """Closes a connection when the time is up, whatever the other end does."""

    def __init__(self, seconds: float) -> None:
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True
        self._socket: socket.socket | None = None
        self.is_over = False

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._socket is not None:
            self._socket.close()

    def watch(self, connected: socket.socket) -> None:
        """Sets the connection to close. TLS takes the socket over, so this keeps a duplicate."""
        self._socket = connected.dup()

    def _cut(self) -> None:
        self.is_over = True
        if self._socket is not None:
            with suppress(OSError):  # It was closed before.
                self._socket.shutdown(socket.SHUT_RDWR)


def request(
    method: str,
    target: str,
    *,
    host: str,
    deadline: Deadline,
    timeout: urllib3.Timeout,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    address: str | None = None,
    port: int = PORT,
    longest_answer: int = 0,
) -> HttpAnswer:
    """Sends a request to `host`, whose certificate has to be valid, and returns its answer.

    `target` is path and query. The connection goes to `address` if it is given. The body of the
    answer is read if `longest_answer`, its maximum length in bytes, is given. `timeout` limits the
    connection and the time to each part of the answer, and `deadline` everything. Raises NoAnswer.
    """
    try:
        with _Pool(
            address or host,
            port,
            deadline=deadline,
            server_hostname=host,
            assert_hostname=host,
            cert_reqs="CERT_REQUIRED",
            ssl_context=_trust(),
        ) as pool:
            response = pool.urlopen(
                method,
                target,
                body=body,
                headers={**(headers or {}), "host": host},
                redirect=False,
                retries=False,
                timeout=timeout,
                preload_content=False,
            )
            content = _content(response, longest_answer)
            response.close()
    except HTTPError as error:
        # Its text has the URL.
        raise NoAnswer(_TOO_SLOW if deadline.is_over else type(error).__name__) from None
    if deadline.is_over:
        raise NoAnswer(_TOO_SLOW)
    if len(content) > longest_answer:
        raise NoAnswer(f"the answer has more than {longest_answer} bytes")
    received = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(response.status, received, content)


def _content(response: urllib3.BaseHTTPResponse, longest: int) -> bytes:
    """Returns the body of an answer, or so much of it that it has more than `longest` bytes."""
    content = bytearray()
    if longest:
        # One read of all would not notice the end of a connection.
        for part in response.stream(_PART, decode_content=False):
            content += part
            if len(content) > longest:
                break
    return bytes(content)


class _Connection(HTTPSConnection):
    def __init__(self, *args: Any, deadline: Deadline, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = deadline

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        self._deadline.watch(connected)
        if self._deadline.is_over:
            connected.close()
            raise ConnectTimeoutError(self, _TOO_SLOW)
        return connected


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


@cache
def _trust() -> ssl.SSLContext:
    """Returns the system's certification authorities; reading them takes some 20 ms."""
    return ssl.create_default_context()
