"""The payment provider, as the shop sees it."""

from typing import Protocol


class Declined(Exception):
    """The provider said no, for good."""


class Unavailable(Exception):
    """No answer, or one that says to try later. Whether money is held is unknown."""


class PaymentProvider(Protocol):
    """What every provider offers. Calls with the same idempotency key have the effect of one."""

    def authorize(
        self, idempotency_key: str, *, token: str, amount_minor: int, currency: str
    ) -> None:
        """Holds the amount (minor units). Raises Declined or Unavailable."""

    def cancel(self, idempotency_key: str) -> bool:
        """Gives back what was authorized under the key and declines it from now on.

        True if there was money to give back, also when asked again. Raises Unavailable.
        """
