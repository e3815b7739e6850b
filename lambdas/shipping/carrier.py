"""The carrier's interface."""

from typing import Protocol

from lambdas.orders.events import Address


class Unavailable(Exception):
    """The carrier gave no answer, or asked to try later. It may have the request all the same."""


class Recalled(Exception):
    """The parcel was recalled before it was requested: the carrier does not take it."""


class Delivered(Exception):
    """The customer has the parcel: it can no longer be recalled."""


class Carrier(Protocol):
    """The operations of every carrier. Calls with one idempotency key have the effect of one."""

    def request(self, idempotency_key: str, *, address: Address, units: int) -> str:
        """Has a parcel picked up and delivered. Returns its tracking id.

        Raises Recalled or Unavailable.
        """

    def recall(self, idempotency_key: str) -> None:
        """Has the parcel brought back, or not picked up at all, and takes none from now on.

        Raises Delivered or Unavailable.
        """
