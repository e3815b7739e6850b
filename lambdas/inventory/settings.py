"""What the inventory stack tells its functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


@cache
def settings() -> TableSettings:
    """Where inventory keeps its stock and its reservations."""
    return TableSettings.from_environ()
