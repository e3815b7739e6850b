"""The carrier, as the shop sees it."""

from typing import Protocol

from lambdas.orders.events import Address


class Unavailable(Exception):
    """No answer, or one that says to try later. Whether the carrier has the request is unknown."""


class Recalled(Exception):
    """The parcel was recalled before it was requested: the carrier is not going to take it."""


class Delivered(Exception):
    """The customer has the parcel: it cannot be recalled any more."""


class Carrier(Protocol):
    """What every carrier offers. Calls with the same idempotency key have the effect of one."""

    def request(self, idempotency_key: str, *, address: Address, units: int) -> str:
        """Has a parcel picked up and delivered. Returns its tracking id.

        Raises Recalled or Unavailable.
        """

    def recall(self, idempotency_key: str) -> None:
        """Has the parcel brought back, or not picked up at all, and takes none from now on.

        Raises Delivered or Unavailable.
        """
