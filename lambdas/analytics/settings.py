"""Settings of the analytics functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """The table of analytics, and the stream."""

    stream_name: str


@cache
def settings() -> Settings:
    """Returns the settings of this function."""
    return Settings.from_environ()
