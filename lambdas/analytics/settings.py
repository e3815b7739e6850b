"""What the analytics stack tells its functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """Where analytics counts, and which stream it counts from."""

    stream_name: str


@cache
def settings() -> Settings:
    """The settings of this function."""
    return Settings.from_environ()
