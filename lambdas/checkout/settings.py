"""What the checkout stack tells its functions."""

from functools import cache

from lambdas.eventing.settings import Settings as _Settings


class Settings(_Settings, frozen=True, kw_only=True):
    """Which workflow a checkout is."""

    state_machine_arn: str


@cache
def settings() -> Settings:
    """The settings of this execution environment."""
    return Settings.from_environ()
