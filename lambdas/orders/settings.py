"""What the orders stack tells its functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """Where orders keeps its orders and its price list, and how long a checkout may take."""

    checkout_minutes: int
    """After how long an order that is still `placed` expires."""


@cache
def settings() -> Settings:
    """The settings of this execution environment."""
    return Settings.from_environ()
