"""Rules of notifications, without AWS: which events, channels and facts."""

import hmac
import re
from datetime import datetime
from hashlib import sha256
from typing import get_args
from urllib.parse import urlsplit

from msgspec import Struct

from lambdas.eventing.personal import Claim, Personal
from lambdas.notifications.events import Channel
from lambdas.orders.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderExpired,
    OrderPlaced,
    OrderRejected,
)
from lambdas.returns.events import OrderReturned, ReturnRefused
from lambdas.shipping.events import OrderDelivered, OrderShipped, ShipmentOverdue

Told = (
    OrderPlaced
    | OrderConfirmed
    | OrderRejected
    | OrderCancelled
    | OrderExpired
    | OrderShipped
    | OrderDelivered
    | ShipmentOverdue
    | OrderReturned
    | ReturnRefused
)
"""The events about which customers are notified."""

TOLD: tuple[type[Told], ...] = get_args(Told)
OCCASIONS = tuple(event.__name__ for event in TOLD)
"""The notification types: customers choose among them, and each has a message."""

MAX_URL = 2048

PERIOD_S = 120
"""The period of `CALLS_S`, in seconds. Shorter than a queue hides a message, so that a postponed
message returns in a later period."""
CALLS_S = 10.0
"""How long all calls to one customer's webhook may take in a period, in seconds.

The rest of the senders' time is for the other customers, however slow this customer's host is.
"""

# Currencies whose minor unit is not a hundredth: https://www.iso.org/iso-4217-currency-codes.html
_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
# The last label has no digits unless it is an internationalized one, so no spelling of an IPv4
# address passes, not even hexadecimal or shortened.
_HOST = re.compile(
    r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]{1,58}[a-z0-9])"
)


class Choice(Struct, frozen=True, kw_only=True):
    """Base of what a customer wants on one channel: all notification types, or these."""

    occasions: tuple[str, ...] | None = None


class Email(Choice, frozen=True, kw_only=True):
    """Messages by e-mail."""

    address: str


class Sms(Choice, frozen=True, kw_only=True):
    """Messages by SMS."""

    phone: str


class Webhook(Choice, frozen=True, kw_only=True):
    """Messages to a system of the customer."""

    url: str


class Preferences(Personal, frozen=True, kw_only=True):
    """How a customer wants to be notified; a channel that is None is off. The vault has them."""

    email: Email | None = None
    sms: Sms | None = None
    webhook: Webhook | None = None

    def address(self, channel: Channel, occasion: str) -> str | None:
        """Returns the address for a notification type on a channel; None if it is not wanted."""
        addresses: dict[Channel, tuple[Choice | None, str]] = {
            Channel.EMAIL: (self.email, self.email.address if self.email else ""),
            Channel.SMS: (self.sms, self.sms.phone if self.sms else ""),
            Channel.WEBHOOK: (self.webhook, self.webhook.url if self.webhook else ""),
        }
        choice, address = addresses[channel]
        if choice is None or (choice.occasions is not None and occasion not in choice.occasions):
            return None
        return address

    def channels(self, occasion: str) -> tuple[Channel, ...]:
        """Returns the channels on which the customer wants a notification type."""
        return tuple(channel for channel in Channel if self.address(channel, occasion) is not None)


def claim_of(customer_id: str) -> Claim:
    """Returns the key under which the vault has the preferences of a customer."""
    return Claim(person=customer_id, purpose="preferences")


def facts(event: Told) -> dict[str, str]:
    """Returns the facts in messages about `event`: no address, no name."""
    match event:
        case OrderPlaced() | OrderConfirmed():
            return {"total": money(event.total_minor, event.currency)}
        case OrderRejected():
            return {"reason": event.reason.replace("_", " ")}
        case ReturnRefused():
            return {"reason": event.reason}
        case ShipmentOverdue():
            return {"due": f"{event.due_at:%Y-%m-%d}"}
        case _:
            return {}


def money(minor: int, currency: str) -> str:
    """Formats an amount in minor units, such as `1234.50 EUR`."""
    digits = next((digits for digits, those in _DIGITS.items() if currency in those), 2)
    whole, rest = divmod(minor, 10**digits)
    return f"{whole}.{rest:0{digits}} {currency}" if digits else f"{whole} {currency}"


_WANTED = "must name a host by its full name in the DNS, not by an address, and no port but 443"


class Destination(Struct, frozen=True):
    """The parts of a webhook's URL: a host by name, on port 443, and the request target."""

    host: str
    target: str


def destination(url: str) -> Destination:
    """Returns the parts of a webhook's URL.

    Raises ValueError that says what is wrong: it has to be https on port 443, with a host's full
    name and without credentials. The caller has to check at each connection that the name leads to
    a public address.
    """
    if not _PRINTABLE.fullmatch(url) or len(url) > MAX_URL:
        raise ValueError(f"must be 1 to {MAX_URL} printable ASCII characters without blanks")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The errors of `urlsplit` depend on the version of Python.
        raise ValueError(_WANTED) from None
    if parts.scheme != "https" or port not in (None, 443):
        raise ValueError("must begin with https:// and may name no port but 443")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or host.endswith(".localhost"):
        raise ValueError(_WANTED)
    query = f"?{parts.query}" if parts.query else ""
    return Destination(host, (parts.path or "/") + query)


def period(moment: datetime) -> int:
    """Returns the number of the period that contains a moment."""
    return int(moment.timestamp()) // PERIOD_S


def signing_secret(master: str, customer_id: str) -> str:
    """Returns the secret that one customer's webhook shares with the shop.

    Each customer has one: with a common secret, a receiver could sign messages to all others.
    """
    return hmac.new(master.encode(), customer_id.encode(), sha256).hexdigest()
