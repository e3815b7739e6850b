"""Settings of the notifications functions."""

from functools import cache

from lambdas.eventing.settings import Settings as _Settings
from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """The table of notifications, the sender of e-mail, and the secret for signatures."""

    email_sender: str
    """The sender's address of e-mail."""
    webhook_secret_arn: str
    """The secret from which the secret of each customer is derived."""


class PaceSettings(_Settings, frozen=True, kw_only=True):
    """The pace of a sender."""

    send_interval_s: float = 0.2
    """Seconds between two messages of one execution environment. The default is for code that still
    has the settings of an earlier release."""


@cache
def pace_settings() -> PaceSettings:
    """Returns the pace of this execution environment."""
    return PaceSettings.from_environ()


@cache
def settings() -> Settings:
    """Returns the settings of this execution environment."""
    return Settings.from_environ()
