"""What the orders stack tells its functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


@cache
def settings() -> TableSettings:
    """Where orders keeps its orders and its price list."""
    return TableSettings.from_environ()
