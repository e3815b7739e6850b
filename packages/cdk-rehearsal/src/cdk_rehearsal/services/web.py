"""The web outside AWS: hosts that answer handlers' requests, and an error for all others."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import parse_headers
from io import BufferedReader, BytesIO, RawIOBase
from typing import Any, Literal, cast

import urllib3.connection
import urllib3.util.connection

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.faults import Exchange, Fault
from cdk_rehearsal.sandbox.egress import CONNECTIONS, LOOK_UPS
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.spool import Spooled
from cdk_rehearsal.virtual_time.processes import ProcessContext

Response = tuple[int, Mapping[str, str], bytes | str]
"""Status, headers and body."""

_OTHER_WAYS: tuple[tuple[Any, str], ...] = (
    # `getaddrinfo` has a stand-in of its own.
    *((socket, name) for name in LOOK_UPS if name != "getaddrinfo"),
    *((socket.socket, name) for name in CONNECTIONS),
)
_ID = re.compile(r"[^/]*[0-9]{3}[^/]*")
_KEPT = 256
"""The requests to a host that stay in memory at least."""
_Function = Callable[..., Any]


@dataclass(frozen=True)
class Request:
    """An HTTP request of the function ``sender``, as the host at ``address`` reads it.

    ``target`` is path and query; names of headers are in lower case.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    address: str
    port: int
    is_tls: bool
    sender: str


class Requests(Spooled[Request]):
    """The requests that have reached a host; older ones are in a temporary file."""

    def clear(self) -> None:
        """Forgets all of them."""
        self._places.clear()
        self._starts.clear()
        self._spooled = 0
        self._tail.clear()


@dataclass
class Host:
    """A host outside AWS, under a name that handlers can resolve. All fields may be changed.

    ``respond`` may sleep in virtual time. Without ``addresses`` the name does not resolve.
    ``on_connect`` says what becomes of a connection: a ``silent`` host never answers one.
    ``drip_s`` is the pause in seconds before each byte of an answer: by default it arrives whole.
    ``requests`` are those that have reached it.
    """

    name: str
    respond: Callable[[Request], Response]
    addresses: list[str]
    on_connect: Literal["accept", "refuse", "silent"] = "accept"
    drip_s: float = 0.0
    requests: Requests = field(kw_only=True)


class Web:
    """The hosts outside AWS that handlers can reach.

    Names are resolved by ``socket.getaddrinfo``; connections are urllib3's. Both behave as they
    do with real hosts, with real exceptions after virtual seconds. Everything else that a handler
    reaches for ends the rehearsal.
    """

    def __init__(self, core: Core, outside: ProcessContext) -> None:
        """``outside`` is the context in which hosts answer."""
        self._core = core
        self._outside = outside
        self._hosts: dict[str, Host] = {}

    def host(
        self, name: str, respond: Callable[[Request], Response], *, addresses: list[str]
    ) -> Host:
        """Adds a host, or replaces the one of this name; ``respond`` answers its requests."""
        self._hosts[name.lower()] = Host(
            *(name.lower(), respond, list(addresses)), requests=Requests(self._core.spool, _KEPT)
        )
        return self._hosts[name.lower()]

    def install(self, patches: Patches) -> None:
        """Replaces the sockets of handlers; all other code keeps the real ones."""
        names, connections = urllib3.util.connection, urllib3.connection
        patches.set(socket, "getaddrinfo", self._resolving(socket.getaddrinfo))
        patches.set(names, "create_connection", self._connecting(names.create_connection))
        wrap = "_ssl_wrap_socket_and_match_hostname"
        patches.set(connections, wrap, _securing(getattr(connections, wrap)))
        patches.set(ssl.SSLContext, "load_default_certs", self._trusting())
        patches.set(threading.Timer, "start", self._timing(threading.Timer.start))
        for owner, name in _OTHER_WAYS:
            patches.set(owner, name, self._guarded(getattr(owner, name)))

    def _sender(self) -> str | None:
        """Returns the path of the function whose handler runs; None for all other code."""
        return None if self._core.scheduler.is_foreign_thread() else self._core.sender()

    def _unknown(self, sender: str, what: str) -> RehearsalError:
        """Returns an error for the handler, and lets it end the rehearsal, too.

        A handler may well catch it, or fail and be tried again.
        """
        error = RehearsalError(
            f"{sender} reaches for {what}, which the rehearsal does not know; if it is to, "
            "register it with rehearsal.web.host"
        )

        def fail() -> None:
            raise error

        self._core.scheduler.spawn(fail, name=f"{sender} outside", critical=True)
        return error

    def _resolving(self, original: _Function) -> _Function:
        def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
            sender = self._sender()
            name = (host.decode() if isinstance(host, bytes) else str(host)).lower().rstrip(".")
            if sender is None or host is None or _is_address(name):
                return cast(list[Any], original(host, port, *args, **kwargs))
            found: list[Any] = []
            for address in self._addresses(name, sender):
                # One may be of another family than the one that is asked for.
                with suppress(socket.gaierror):
                    found += original(address, port, *args, **kwargs)
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return found

        return getaddrinfo

    def _trusting(self) -> _Function:
        """Spares handlers the machine's authorities, since hosts verify names without TLS.

        Each execution environment would read them, which takes some 20 ms.
        """
        original = ssl.SSLContext.load_default_certs

        def load_default_certs(context: ssl.SSLContext, *purpose: ssl.Purpose) -> None:
            if self._sender() is None:
                original(context, *purpose)

        return load_default_certs

    def _addresses(self, name: str, sender: str) -> list[str]:
        if name not in self._hosts:
            raise self._unknown(sender, f"the host {name}")
        return self._hosts[name].addresses

    def _timing(self, original: _Function) -> _Function:
        """Lets the timers of handlers, which end slow calls, run in virtual time."""

        def start(timer: threading.Timer) -> None:
            if self._sender() is None:
                original(timer)
                return

            def end() -> None:
                if not timer.finished.is_set():
                    timer.function(*timer.args, **timer.kwargs)
                timer.finished.set()

            self._core.scheduler.call_later(timer.interval, end, daemon=True)

        return start

    def _connecting(self, original: _Function) -> _Function:
        def create_connection(address: tuple[str, int], timeout: Any = None, **options: Any) -> Any:
            sender = self._sender()
            if sender is None:
                return original(address, timeout, **options)
            return self._connect(address, timeout, sender)

        return create_connection

    def _guarded(self, original: _Function) -> _Function:
        def reach(*args: Any) -> Any:
            sender = self._sender()
            if sender is None:
                return original(*args)
            if isinstance(args[0], socket.socket):
                args[0].close()
            raise self._unknown(sender, f"{args[-1]} by other means than urllib3")

        return reach

    def _connect(self, address: tuple[str, int], timeout: Any, sender: str) -> _Connection:
        name, port = address
        (*_, sockaddr), *_ = socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)
        ip = str(sockaddr[0])
        hosts = [host for host in self._hosts.values() if ip in host.addresses]
        if not hosts:
            raise self._unknown(sender, f"the address {ip}")
        core = self._core
        patience = timeout if isinstance(timeout, int | float) else None
        delay = core.draw(core.latency.web_s)
        silent = hosts[0].on_connect == "silent"
        if silent or (patience is not None and delay > patience):
            # Linux itself gives up after some two minutes.
            core.scheduler.sleep(127.0 if patience is None else patience)
            raise TimeoutError("timed out")
        core.scheduler.sleep(delay)
        if hosts[0].on_connect == "refuse":
            raise ConnectionRefusedError(111, "Connection refused")
        return _Connection(core, self._outside, hosts, ip, port, sender, patience)


def _securing(original: _Function) -> _Function:
    def wrap(sock: Any, **options: Any) -> Any:
        if not isinstance(sock, _Connection):
            return original(sock, **options)
        is_verified = sock.start_tls(**options)
        return urllib3.connection._WrappedAndVerifiedSocket(cast(Any, sock), is_verified)

    return wrap


class _Connection:
    """What urllib3 takes for a socket: it has a host at its other end."""

    def __init__(
        self,
        core: Core,
        outside: ProcessContext,
        hosts: list[Host],
        address: str,
        port: int,
        sender: str,
        timeout: float | None,
    ) -> None:
        self._core = core
        self._outside = outside
        self._hosts = hosts
        self._host = hosts[0]
        self._address = (address, port)
        self._sender = sender
        self._timeout = timeout
        self._sent = bytearray()
        self._is_tls = False
        self._is_shut = False

    def start_tls(
        self, *, server_hostname: str, assert_hostname: Any, cert_reqs: Any, **_: Any
    ) -> bool:
        """Shakes hands: the host whose name is asked for shows its certificate.

        Returns whether that was verified; raises as ``ssl`` does if it is for another name.
        """
        self._is_tls = True
        fault = self._core.faults.strike("handshake", self._sender, "")
        named = [host for host in self._hosts if host.name == server_hostname.lower()]
        self._host = (named or self._hosts)[0]
        if cert_reqs in {"CERT_NONE", "NONE", ssl.CERT_NONE} or assert_hostname is False:
            return False
        expected = (assert_hostname or server_hostname).lower()
        if fault or expected != self._host.name:
            raise ssl.SSLCertVerificationError(
                1,
                "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, "
                f"certificate is not valid for '{expected}'.",
            )
        return True

    def settimeout(self, timeout: float | None) -> None:
        """Sets how many virtual seconds to wait for an answer."""
        self._timeout = timeout

    def sendall(self, data: bytes) -> None:
        """Takes a part of the request."""
        self._sent += data

    def makefile(self, mode: str, *_: Any, **__: Any) -> BufferedReader:
        """Returns a file of the answer; the first read waits for it."""
        return BufferedReader(_Answer(self._ask, self._receive))

    def _ask(self) -> bytes:
        """Waits for the answer and returns it. Raises TimeoutError if it takes too long."""
        request = self._request()
        host = self._host
        host.requests.append(request)
        core = self._core
        operation = operation_of(request.method, host.name, request.target)
        fault = core.faults.strike("web", self._sender, "", operation)
        process = core.scheduler.spawn(
            self._respond,
            request,
            fault,
            operation,
            name=f"{request.method} {request.target} at {host.name}",
            environment=self._outside,
            critical=True,
        )
        answered = process.join(self._timeout)
        answer = process.result() if answered else None
        status, headers, body = answer or (None, {}, b"")
        core.meter.add(
            "outbound",
            self._sender,
            host.name,
            method=request.method,
            path=request.target,
            status=status,
            operation=operation,
        )
        if status is None:
            if answered and self._timeout:
                core.scheduler.sleep(self._timeout)
            raise TimeoutError("The read operation timed out")
        content = body.encode() if isinstance(body, str) else body
        # Without a phrase, because Python's phrases depend on its version.
        lines = [f"HTTP/1.1 {status} "]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(content)}", "Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1") + content

    def _receive(self, answer: BytesIO, buffer: Any) -> int:
        """Reads what has arrived of an answer: all of it, or the next byte if the host drips."""
        pause = self._host.drip_s
        if not pause:
            return answer.readinto(buffer)
        if self._timeout is not None and pause > self._timeout:
            self._core.scheduler.sleep(self._timeout)
            raise TimeoutError("The read operation timed out")
        self._core.scheduler.sleep(pause)
        return 0 if self._is_shut else answer.readinto(memoryview(buffer)[:1])

    def _respond(self, request: Request, fault: Fault | None, operation: str) -> Response | None:
        """Returns the host's answer, or what a fault makes of it; None if there is none."""
        if fault is None:
            return self._host.respond(request)
        answer: Response | None = fault.effect(
            Exchange(operation, lambda: self._host.respond(request))
        )
        return answer

    def dup(self) -> _Connection:
        """Returns another handle of the connection."""
        return self

    def shutdown(self, _: int) -> None:
        """Ends the connection: no more of the answer arrives."""
        self._is_shut = True

    def close(self) -> None:
        """Ends the connection; the host may go on with what it was asked for."""

    def _request(self) -> Request:
        stream = BytesIO(bytes(self._sent))
        method, target, _ = stream.readline().decode("latin-1").split(" ", 2)
        headers = {name.lower(): value for name, value in parse_headers(stream).items()}
        address, port = self._address
        return Request(
            method, target, headers, stream.read(), address, port, self._is_tls, self._sender
        )


class _Answer(RawIOBase):
    """A host's answer, which is requested at the first read.

    `makefile` must not fail: `http.client` would leave an unfinished response, which raises again
    when it is garbage-collected.
    """

    def __init__(self, ask: Callable[[], bytes], receive: Callable[[BytesIO, Any], int]) -> None:
        self._ask = ask
        self._receive = receive
        self._content: BytesIO | None = None

    def readable(self) -> bool:
        """Returns True: the answer can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads a part of the answer. Raises TimeoutError if it takes too long."""
        if self._content is None:
            self._content = BytesIO(self._ask())
        return self._receive(self._content, buffer)


def operation_of(method: str, host: str, target: str) -> str:
    """Returns the kind of a request: the same for all ids in its path, and without its query."""
    path = target.partition("?")[0]
    return f"{method} {host}{_ID.sub('*', path)}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
