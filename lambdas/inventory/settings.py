"""Settings of the inventory functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


@cache
def settings() -> TableSettings:
    """Returns the settings of this execution environment."""
    return TableSettings.from_environ()
