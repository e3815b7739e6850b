"""Settings of the orders functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """The table of orders, their limit for each customer, and how long a checkout may take."""

    orders_per_hour: int
    """How many orders a customer may place in an hour."""
    checkout_minutes: int
    """Minutes after which an order that is still `placed` expires."""


@cache
def settings() -> Settings:
    """Returns the settings of this execution environment."""
    return Settings.from_environ()
