"""Isolates a rehearsal: it sees no settings of the machine, and opens no outgoing connections."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from botocore.endpoint import Endpoint

from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.patching import Patches
from workspace.isolation import allowed

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def environment(region: str) -> dict[str, str]:
    """Return the variables for a process that uses moto: the allow-list and dummy credentials.

    AWS clients read settings from variables and from files. These variables hide both of the
    machine's.
    """
    return {
        **allowed(os.environ),
        "AWS_ACCESS_KEY_ID": "rehearsal",
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "AWS_SESSION_TOKEN": "rehearsal",
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def set_environment(variables: Mapping[str, str]) -> Callable[[], None]:
    """Replace this process's variables; return a function that restores the former ones."""
    before = dict(os.environ)

    def replace(by: Mapping[str, str]) -> None:
        os.environ.clear()
        os.environ.update(by)

    replace(variables)
    return lambda: replace(before)


class Egress:
    """Refuses connections of this process, except to ports on which it listens itself.

    Refused connections raise RehearsalError, which names the AWS call or the address.
    """

    def __init__(self) -> None:
        self._ports: set[int] = set()
        self._call = threading.local()

    def install(self, patches: Patches) -> None:
        """Patch botocore and the socket functions of this process."""
        respond: Callable[..., Any] = Endpoint._do_get_response  # type: ignore[attr-defined]
        patches.set(Endpoint, "_do_get_response", self._named(respond))
        patches.set(Endpoint, "_send", self._refuse_call)
        patches.set(socket.socket, "listen", self._listening(socket.socket.listen))
        patches.set(socket, "getaddrinfo", self._resolving(socket.getaddrinfo))
        for name in ("connect", "connect_ex", "sendto"):
            patches.set(socket.socket, name, self._connecting(getattr(socket.socket, name)))

    def _named(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def respond(endpoint: Any, request: Any, operation: Any, *context: Any) -> Any:
            self._call.name = f"{operation.service_model.service_name}.{operation.name}"
            return original(endpoint, request, operation, *context)

        return respond

    def _refuse_call(self, request: Any) -> Any:
        raise RehearsalError(
            f"{self._call.name} would leave the rehearsal for {request.url}: moto does not answer "
            "there. Create the client without endpoint_url, for a service and region that moto "
            "supports"
        )

    def _listening(self, original: Callable[..., None]) -> Callable[..., None]:
        def listen(sock: socket.socket, *backlog: int) -> None:
            original(sock, *backlog)
            if sock.family != socket.AF_UNIX:
                self._ports.add(sock.getsockname()[1])

        return listen

    def _resolving(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
            name = host.decode() if isinstance(host, bytes) else host
            if name is not None and not _is_numeric(name) and name.lower() not in _LOOPBACK:
                raise _refused(f"a look-up of the host {name}")
            return cast(list[Any], original(host, port, *args, **kwargs))

        return getaddrinfo

    def _connecting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(sock: socket.socket, *args: Any) -> Any:
            address = args[-1]
            if sock.family != socket.AF_UNIX and not self._is_inside(address):
                sock.close()
                raise _refused(f"a connection to {address[0]}, port {address[1]},")
            return original(sock, *args)

        return connect

    def _is_inside(self, address: Any) -> bool:
        return address[0] in _LOOPBACK and address[1] in self._ports


def _refused(what: str) -> RehearsalError:
    return RehearsalError(f"{what} would leave the rehearsal; it may reach only its own endpoint")


def _is_numeric(host: str) -> bool:
    return all(part.isdigit() for part in host.split(".")) or ":" in host
