"""Requests to hosts that customers name: only to public addresses."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Timer
from typing import Any

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError

from lambdas.notifications.domain import Destination, destination

PORT = 443
CONNECT_S = 1.0
READ_S = 3.0
"""Timeouts in seconds: to connect, and for each part of the answer."""
TOTAL_S = 8.0
"""The timeout of the whole request: a host that sends a byte now and then must not block it."""

_TOO_SLOW = "the host did not answer in time"

_UNICAST = ip_network("2000::/3")
"""All global unicast addresses of IPv6. https://www.iana.org/assignments/ipv6-address-space"""

_SPECIAL = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast, which is not in the registry
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
"""The special-purpose blocks of IPv4, and those of IPv6 among its unicast addresses.

`ipaddress.is_global` differs from the registries, and between versions of Python.
https://www.iana.org/assignments/iana-ipv4-special-registry
https://www.iana.org/assignments/iana-ipv6-special-registry
"""


class Forbidden(Exception):
    """The shop never calls this URL."""


class Unreachable(Exception):
    """The host has no address now, or gave no valid answer in time. A retry may succeed."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Posts a body and returns the status of the answer, without following redirects.

    The name is looked up once. All its addresses have to be public, and the connection goes to one
    of them, so changing the name's address in between has no effect. The certificate has to be the
    host's. Raises Forbidden or Unreachable, without the URL in the message.
    """
    try:
        place = destination(url)
    except ValueError as error:
        raise Forbidden(f"the URL {error}") from error
    with _Deadline(TOTAL_S) as deadline:
        address = _address_of(place.host)
        status = _post(address, place, body, headers, deadline)
        if deadline.is_over:
            raise Unreachable(_TOO_SLOW)
    return status


def _post(
    address: IPv4Address | IPv6Address,
    place: Destination,
    body: bytes,
    headers: Mapping[str, str],
    deadline: "_Deadline",
) -> int:
    try:
        with _Pool(
            str(address),
            PORT,
            deadline=deadline,
            server_hostname=place.host,
            assert_hostname=place.host,
            cert_reqs="CERT_REQUIRED",
        ) as pool:
            response = pool.urlopen(
                "POST",
                place.target,
                body=body,
                headers={**headers, "host": place.host},
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
                preload_content=False,
            )
            response.close()
    except HTTPError as error:
        raise Unreachable(type(error).__name__) from None  # Its text has the URL.
    return response.status


class _Deadline:
    """Closes a connection when the time is up, whatever the other end does."""

    def __init__(self, seconds: float) -> None:
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True
        self._socket: socket.socket | None = None
        self.is_over = False

    def __enter__(self) -> "_Deadline":
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


class _Connection(HTTPSConnection):
    def __init__(self, *args: Any, deadline: _Deadline, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = deadline

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        self._deadline.watch(connected)
        if self._deadline.is_over:
            connected.close()
            raise Unreachable(_TOO_SLOW)
        return connected


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


def _address_of(host: str) -> IPv4Address | IPv6Address:
    """Returns an address of the host, of IPv4 if it has any. Raises Forbidden or Unreachable."""
    try:
        found = socket.getaddrinfo(host, PORT, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable("the host's name cannot be looked up") from error
    addresses = [ip_address(entry[4][0]) for entry in found]
    if not all(is_public(address) for address in addresses):
        raise Forbidden("the host has an address that is not public")
    return min(addresses, key=lambda address: address.version)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is a global unicast address without a special purpose."""
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return not any(address in network for network in _SPECIAL)
