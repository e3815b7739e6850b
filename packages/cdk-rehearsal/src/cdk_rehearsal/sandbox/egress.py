"""Guards a rehearsal: it sees no settings of the machine, and opens no outgoing connection."""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from botocore.endpoint import Endpoint

from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.isolation import allowed
from cdk_rehearsal.sandbox.patching import Patches

LOOK_UPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
"""Functions of the module `socket` that may ask a name server."""
CONNECTIONS = ("connect", "connect_ex", "sendto", "sendmsg")
"""Methods of a socket that take the address to reach."""

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def environment(region: str) -> dict[str, str]:
    """Returns the variables for a process that uses moto: the allow-list and dummy credentials.

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
    """Replaces this process's variables; returns a function that restores the former ones."""
    before = dict(os.environ)

    def replace(by: Mapping[str, str]) -> None:
        os.environ.clear()
        os.environ.update(by)

    replace(variables)
    return lambda: replace(before)


class Egress:
    """Refuses connections of this process, except to its own addresses.

    Refused connections raise RehearsalError, which names the AWS call or the address.
    """

    def __init__(self) -> None:
        self._ports: set[int] = set()
        self._call = threading.local()

    def install(self, patches: Patches) -> None:
        """Patches botocore and the socket functions of this process."""
        respond: Callable[..., Any] = Endpoint._do_get_response  # type: ignore[attr-defined]
        patches.set(Endpoint, "_do_get_response", self._named(respond))
        patches.set(Endpoint, "_send", self._refuse_call)
        patches.set(socket.socket, "bind", self._binding(socket.socket.bind))
        for name in LOOK_UPS:
            patches.set(socket, name, self._resolving(name, getattr(socket, name)))
        for name in CONNECTIONS:
            method = getattr(socket.socket, name)
            patches.set(socket.socket, name, self._connecting(name, method))

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

    def _binding(self, original: Callable[..., None]) -> Callable[..., None]:
        def bind(sock: socket.socket, address: Any) -> None:
            original(sock, address)
            if sock.family != socket.AF_UNIX:
                self._ports.add(sock.getsockname()[1])

        return bind

    def _resolving(self, function: str, original: Callable[..., Any]) -> Callable[..., Any]:
        asks_by_address = function in {"gethostbyaddr", "getnameinfo"}

        def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
            name = host[0] if isinstance(host, tuple) else host
            name = name.decode() if isinstance(name, bytes) else name
            is_known = name is None or name.lower() in _LOOPBACK
            if not is_known and (asks_by_address or not _is_numeric(name)):
                raise _refused(f"a look-up of the host {name}")
            return original(host, *args, **kwargs)

        return resolve

    def _connecting(self, method: str, original: Callable[..., Any]) -> Callable[..., Any]:
        # Without an address, `sendmsg` writes to where the socket is connected.
        place = 3 if method == "sendmsg" else -1

        def connect(sock: socket.socket, *args: Any) -> Any:
            if sock.family != socket.AF_UNIX and len(args) > place:
                host, port, *_ = args[place]
                if not (host in _LOOPBACK and port in self._ports):
                    sock.close()
                    raise _refused(f"a connection to {host}, port {port},")
            return original(sock, *args)

        return connect


def _refused(what: str) -> RehearsalError:
    return RehearsalError(f"{what} would leave the rehearsal; it may reach only its own endpoint")


def _is_numeric(host: str) -> bool:
    return all(part.isdigit() for part in host.split(".")) or ":" in host
