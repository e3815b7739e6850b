"""What the payments stack tells its functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """Where payments keeps its records, and where the sandbox provider keeps its own book."""

    provider_table_name: str


@cache
def settings() -> Settings:
    """The settings of this execution environment."""
    return Settings.from_environ()
