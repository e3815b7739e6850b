"""Settings of the orders functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """The table of orders, and how long a checkout may take."""

    checkout_minutes: int
    """Minutes after which an order that is still `placed` expires."""


@cache
def settings() -> Settings:
    """Returns the settings of this execution environment."""
    return Settings.from_environ()
