"""Rules of payments, without AWS."""

from enum import StrEnum


class State(StrEnum):
    """Where the payment of an order stands."""

    AUTHORIZING = "authorizing"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


CANCELLABLE = frozenset({State.AUTHORIZING, State.AUTHORIZED})
"""Money may be held, so letting go of the payment has to ask the provider."""
