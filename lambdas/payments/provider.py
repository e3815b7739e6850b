"""The payment provider's interface."""

from typing import Protocol


class Declined(Exception):
    """The provider declined. The answer is final."""


class Unavailable(Exception):
    """The provider gave no answer, or asked to try later. It may hold money all the same."""


class PaymentProvider(Protocol):
    """The operations of every provider. Calls with one idempotency key have the effect of one."""

    def authorize(
        self, idempotency_key: str, *, token: str, amount_minor: int, currency: str
    ) -> None:
        """Holds the amount (minor units). Raises Declined or Unavailable."""

    def cancel(self, idempotency_key: str) -> bool:
        """Releases or refunds what was authorized under the key, and declines it from now on.

        Returns whether there was money to refund, also when asked again. Raises Unavailable.
        """
