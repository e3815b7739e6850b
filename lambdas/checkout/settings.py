"""Settings of the checkout function."""

from functools import cache

from lambdas.eventing.settings import Settings as _Settings


class Settings(_Settings, frozen=True, kw_only=True):
    """The workflow of a checkout."""

    state_machine_arn: str


@cache
def settings() -> Settings:
    """Returns the settings of this execution environment."""
    return Settings.from_environ()
