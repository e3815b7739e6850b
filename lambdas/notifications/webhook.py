"""Requests to hosts that customers name: only to public addresses."""

import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import urllib3

from lambdas.eventing import https
from lambdas.notifications.domain import destination

PORT = https.PORT
CONNECT_S = 1.0
READ_S = 3.0
"""Timeouts in seconds: to connect, and for each part of the answer."""
TOTAL_S = 8.0
"""The timeout of the whole request: a host that sends a byte now and then must not block it."""

# IPv6's global unicast addresses, and the special-purpose networks of IPv6 and IPv4 for which
# `is_global` differs between versions of Python.
# https://www.iana.org/assignments/ipv6-address-space
# https://www.iana.org/assignments/iana-ipv6-special-registry
# https://www.iana.org/assignments/iana-ipv4-special-registry
_UNICAST = ip_network("2000::/3")
_SPECIAL = tuple(
    ip_network(network)
    for network in ("2001::/23", "2002::/16", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24")
)


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
    try:
        with https.Deadline(TOTAL_S) as deadline:
            answer = https.request(
                "POST",
                place.target,
                host=place.host,
                address=str(_address_of(place.host)),
                port=PORT,
                body=body,
                headers=headers,
                deadline=deadline,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
            )
    except https.NoAnswer as error:
        raise Unreachable(str(error)) from error
    return answer.status


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
    """Whether an address is a public unicast address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address not in _UNICAST:
            return False
    if any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast
